"""The program answers the whole handbook as the reference evaluation did (portfolio/training/README.md), prompt for prompt.

    handbook_answers_test.py TROUPE

Here the reference makes the prompts and the engine only answers them; dev/demo measures a whole cluster by the same measure.
"""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "portfolio" / "training"), str(ROOT / "dev" / "lib")]
import chat  # noqa: E402
import question_set  # noqa: E402
import retrieve  # noqa: E402

TROUPE = sys.argv.pop(1)
SOURCES = 5  # as many as the models were trained and measured with
RIGHT_OF_MINI = 73  # of 115, 63.5 %
FOUND = 79  # percent of the questions, by keyword search
SOURCE = r"\[\d\] [^§\n]+ §\d+\.\d+: [^\n]+"


def prompts() -> tuple[list[dict], dict[str, list[str]]]:
    """Messages for `troupe generate --input`, and the sections that each question came with, in the order of their numbers."""
    names, texts = question_set.read_sections(question_set.HANDBOOK)
    index = retrieve.Index({section: f"{name} {texts[section]}" for section, name in names.items()})
    rows, found = [], {}
    for question in question_set.read_questions(question_set.HANDBOOK / "questions.jsonl"):
        found[question["id"]] = index.search(question["question"], SOURCES)
        sources = "\n".join(f"[{i}] {names[section]}: {texts[section]}" for i, section in enumerate(found[question["id"]], 1))
        messages = [chat.system("answer"), chat.user(chat.with_sources(sources, question["question"]))]
        rows.append({"id": question["id"], "messages": [{"role": m.role, "content": m.content} for m in messages]})
    return rows, found


class Handbook(unittest.TestCase):
    def setUp(self) -> None:
        self.questions = {q["id"]: q for q in question_set.read_questions(question_set.HANDBOOK / "questions.jsonl")}
        self.rows, self.found = prompts()

    def test_is_asked_in_the_form_of_the_evaluation_set(self) -> None:
        trained = json.loads((ROOT / "portfolio/eval/grounded.jsonl").read_text(encoding="utf-8").splitlines()[0])["messages"]
        self.assertRegex(trained[1]["content"], rf"({SOURCE}\n)+\nQuestion: [^\n]+")
        for row in self.rows:
            self.assertEqual(row["messages"][0]["content"], trained[0]["content"])
            self.assertIsNotNone(re.fullmatch(rf"({SOURCE}\n)+\nQuestion: [^\n]+", row["messages"][1]["content"]), row["id"])
        found = sum(set(q["sections"]) <= set(self.found[q["id"]]) for q in self.questions.values())
        self.assertEqual(round(100 * found / len(self.questions)), FOUND)

    def test_is_answered_by_mini_as_well_as_in_its_evaluation(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
            file.flush()
            command = [TROUPE, "generate", "--model", str(ROOT / "portfolio/mini"), "--input", file.name, "--max-tokens", "120", "--json"]
            lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, encoding="utf-8").stdout.splitlines()
        answers = [json.loads(line) for line in lines]
        self.assertEqual({answer["id"] for answer in answers}, self.questions.keys())
        right = 0
        for answer in answers:
            numbers = (int(n) for n in re.findall(r"\[(\d+)\]", answer["text"]))
            cited = {self.found[answer["id"]][n - 1] for n in numbers if 1 <= n <= SOURCES}
            right += question_set.right(self.questions[answer["id"]], answer["text"], cited)
        self.assertEqual((len(answers), right), (115, RIGHT_OF_MINI))


if __name__ == "__main__":
    unittest.main()

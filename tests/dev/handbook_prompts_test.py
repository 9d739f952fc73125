"""The demo asks as the models were trained to be asked, and does not flatter them."""

import json
import re
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "dev"))
import handbook_prompts as demo  # noqa: E402

ASKED = demo.ask(demo.HANDBOOK)
SOURCE = r"\[\d\] [^§\n]+ §\d+\.\d+: [^\n]+"
USER = re.compile(rf"({SOURCE}\n)+\nQuestion: [^\n]+")


def answer_to(row: dict, text: str) -> str:
    """A line as `troupe generate --json` writes it."""
    counted = {"prompt_tokens": 9, "reused_tokens": 4, "generated_tokens": 5, "seconds": 0.5}
    return json.dumps({"id": row["id"], "text": text, "finish_reason": "end_token", **counted})


def right_answer(row: dict) -> str:
    """The answer with its citations, each after the last sentence."""
    sources = list(row["sources"])
    return row["answer"] + "".join(f" [{sources.index(section) + 1}]" for section in row["sections"])


FOUND = next(row for row in ASKED if row["sections"] and set(row["sections"]) <= set(row["sources"]))


class Prompts(unittest.TestCase):
    def test_have_the_form_of_the_evaluation_set(self) -> None:
        trained = json.loads((ROOT / "portfolio/eval/grounded.jsonl").read_text(encoding="utf-8").splitlines()[0])["messages"]
        self.assertRegex(trained[1]["content"], USER)
        for row in ASKED:
            self.assertEqual([m["role"] for m in row["messages"]], ["system", "user"])
            self.assertEqual(row["messages"][0]["content"], trained[0]["content"])
            self.assertIsNotNone(USER.fullmatch(row["messages"][1]["content"]), row["id"])
            self.assertEqual(len(row["sources"]), demo.SOURCES)

    def test_have_the_sections_of_as_many_questions_as_the_reference_evaluation_found(self) -> None:
        found = sum(demo.verdict(row, "")["found"] for row in ASKED)
        self.assertEqual(round(100 * found / len(ASKED)), 79)

    def test_name_every_section_that_a_question_needs(self) -> None:
        names, texts = demo.read_sections(demo.HANDBOOK)
        self.assertEqual(names.keys(), texts.keys())
        for row in ASKED:
            self.assertLessEqual(row["sections"].keys(), names.keys())

    def test_are_the_same_for_the_same_seed_only(self) -> None:
        ids = [[row["id"] for row in demo.ask(demo.HANDBOOK, 8, seed)] for seed in (1, 1, 2)]
        self.assertEqual(ids[0], ids[1])
        self.assertNotEqual(ids[0], ids[2])
        self.assertEqual(len(set(ids[0])), 8)


class Verdicts(unittest.TestCase):
    def test_accept_the_answer_with_its_citations(self) -> None:
        self.assertTrue(demo.verdict(FOUND, right_answer(FOUND))["right"])

    def test_refuse_other_words_missing_citations_and_citations_of_something_else(self) -> None:
        wrong = next(i + 1 for i, section in enumerate(FOUND["sources"]) if section not in FOUND["sections"])
        right = right_answer(FOUND)
        for text in (right.replace(" ", " not ", 1), FOUND["answer"], f"{right} [{wrong}]", f"{FOUND['answer']} [99]", ""):
            self.assertFalse(demo.verdict(FOUND, text)["right"], text)

    def test_resolve_citations_to_sections_and_leave_others_alone(self) -> None:
        first = next(iter(FOUND["sources"].values()))
        self.assertEqual(demo.resolved(FOUND, "Yes [1]. [99]"), f"Yes [{first}]. [99]")

    def test_add_up(self) -> None:
        rows = [FOUND, next(row for row in ASKED if row["id"] != FOUND["id"])]
        total = demo.judge(rows, [answer_to(rows[0], right_answer(rows[0])), answer_to(rows[1], "No.")], "mini", True)
        self.assertEqual((total["questions"], total["right"], total["generated_tokens"]), (2, 1, 10))
        self.assertEqual(total["generated_tokens_per_second"], 20)

    def test_refuse_to_sum_up_what_was_not_answered(self) -> None:
        with self.assertRaisesRegex(ValueError, "1 of 1 questions got no answer"):
            demo.judge([FOUND], [], "mini", True)
        failed = json.dumps({"id": FOUND["id"], "text": "", "finish_reason": "deadline_exceeded"})
        with self.assertRaisesRegex(ValueError, "was not answered: deadline_exceeded"):
            demo.judge([FOUND], [failed], "mini", True)


if __name__ == "__main__":
    unittest.main()

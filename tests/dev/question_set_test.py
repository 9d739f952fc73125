"""The demo reads and draws its questions, and does not flatter the models."""

import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "dev" / "lib"))
import question_set  # noqa: E402

QUESTIONS = question_set.read_questions(question_set.HANDBOOK / "questions.jsonl")
CITING = next(question for question in QUESTIONS if len(question["sections"]) == 2)


def read(text: str) -> list[dict]:
    """The questions of a file with that text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "set.jsonl"
        file.write_text(text, encoding="utf-8")
        return question_set.read_questions(file)


class Questions(unittest.TestCase):
    def test_of_the_bundled_set_need_sections_that_are_there(self) -> None:
        names, texts = question_set.read_sections(question_set.HANDBOOK)
        self.assertEqual(len(QUESTIONS), 115)
        self.assertEqual(names.keys(), texts.keys())
        for question in QUESTIONS:
            self.assertLessEqual(set(question["sections"]), names.keys())

    def test_are_the_same_for_the_same_seed_only(self) -> None:
        drawn = [[question["id"] for question in question_set.draw(QUESTIONS, 8, seed)] for seed in (1, 1, 2)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])
        self.assertEqual(len(set(drawn[0])), 8)
        self.assertEqual(len(question_set.draw(QUESTIONS, 999, 1)), len(QUESTIONS))

    def test_that_are_none_are_refused_by_their_line(self) -> None:
        good = '{"id": "a", "question": "Why?", "answer": "So.", "sections": []}\n'
        self.assertEqual([row["id"] for row in read(good + "\n" + good)], ["a", "a"])
        for bad, message in (
            ("{", "set.jsonl:2: not valid JSON"),
            ("[]", 'set.jsonl:2: expected an object in which "id" is a str'),
            (good.replace("[]", '"x"'), '"sections" is a list'),
            (good.replace("[]", "[1]"), '"sections" holds something that is not a string'),
            (good.replace('"So."', "5"), '"answer" is a str'),
        ):
            with self.assertRaisesRegex(ValueError, message.replace("[", r"\[")):
                read(good + bad)
        with self.assertRaisesRegex(ValueError, "has no questions"):
            read("\n")


class Verdicts(unittest.TestCase):
    def test_accept_the_answer_wherever_its_citations_stand(self) -> None:
        cited = set(CITING["sections"])
        self.assertTrue(question_set.right(CITING, CITING["answer"] + " [1] [3]", cited))
        self.assertTrue(question_set.right(CITING, CITING["answer"].replace(".", " [2].", 1) + " [1]\n", cited))

    def test_refuse_other_words_missing_citations_and_citations_of_something_else(self) -> None:
        cited = set(CITING["sections"])
        right = CITING["answer"] + " [1] [2]"
        self.assertFalse(question_set.right(CITING, right.replace(" ", " not ", 1), cited))
        self.assertFalse(question_set.right(CITING, right, set()))
        self.assertFalse(question_set.right(CITING, right, {CITING["sections"][0]}))
        self.assertFalse(question_set.right(CITING, right, cited | {"else#1"}))
        self.assertFalse(question_set.right(CITING, "", cited))


if __name__ == "__main__":
    unittest.main()

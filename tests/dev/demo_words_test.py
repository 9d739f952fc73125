"""What the demo says of a cluster and its answers is what the cluster said, and what it cannot show is a problem."""

import io
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "dev" / "lib"))
import handbook  # noqa: E402
import prefixes  # noqa: E402
import question_set  # noqa: E402
import show  # noqa: E402
import views  # noqa: E402
from asker import Answer  # noqa: E402
from drains import course_of, said_of  # noqa: E402
from kills import likely_long  # noqa: E402

REPLICA = {
    "model": "heavy", "active_parameters": 10, "prompt_tokens": 50, "reused_tokens": 30, "generated_tokens": 7, "running": 1, "waiting": 2,
}  # fmt: skip
NODE = {
    "node": "back", "replicas": [REPLICA], "experts": [{"model": "heavy", "held": 32, "total": 64}], "experts_alone": 32,
    "conversations_stored": 5, "transports": {"side": "ucx", "front": "none"},
}  # fmt: skip
EMPTY = {**NODE, "replicas": [], "experts": [], "experts_alone": 0, "conversations_stored": 0, "transports": {}}


def answer(ids: list[int], output: bytes = b"So.\n", probability: float = -0.5) -> Answer:
    """One whose only attempt gave these tokens."""
    emissions = [{"ids": [i], "log_probabilities": [probability]} for i in ids]
    return Answer(output, 0.1, {"attempts": [{"result": {"node": "back", "emissions": emissions}}], "outcome": {"answer": "So."}})


class Views(unittest.TestCase):
    def test_count_what_a_drain_has_to_move(self) -> None:
        self.assertEqual(views.holdings(NODE), {"conversations": 5, "running_sequences": 3, "experts": 32})
        self.assertEqual(views.in_words(views.holdings(NODE)), "5 conversations, 3 running sequences, 32 experts")
        self.assertEqual(views.holdings(EMPTY), {})
        self.assertEqual((views.is_idle(NODE), views.is_idle(EMPTY)), (False, True))
        self.assertEqual(views.in_words({}), "nothing")

    def test_count_work_by_what_was_computed(self) -> None:
        self.assertEqual(views.computed_cost([NODE, EMPTY, NODE]), 2 * 10 * (50 - 30 + 7))

    def test_say_what_a_node_has(self) -> None:
        self.assertEqual((views.experts_held(NODE), views.experts_of_all(NODE), views.experts_held(EMPTY)), (32, 64, 0))
        self.assertEqual(views.inventory(NODE), "the model heavy, 32 of heavy's 64 experts; bulk bytes by none to front, ucx to side")
        self.assertEqual(views.stored({**NODE, "experts_alone": 0}), {"conversations": 5, "experts": 32})
        self.assertFalse(views.is_joined(NODE))
        self.assertTrue(views.is_joined({**NODE, "transports": {"side": "ucx"}}))
        self.assertEqual(views.inventory(EMPTY), "no model; bulk bytes by nothing")


class Answers(unittest.TestCase):
    def test_are_the_same_only_in_every_token_probability_and_byte(self) -> None:
        self.assertTrue(answer([1, 2]).same_as(answer([1, 2])))
        self.assertFalse(answer([1, 2]).same_as(answer([1, 3])))
        self.assertFalse(answer([1, 2]).same_as(answer([1])))
        self.assertFalse(answer([1, 2]).same_as(answer([1, 2], probability=-0.25)))
        self.assertFalse(answer([1, 2]).same_as(answer([1, 2], output=b"So. \n")))

    def test_have_the_bits_of_all_attempts_even_of_one_that_has_not_ended(self) -> None:
        turn = answer([1, 2]).turn
        twice = Answer(b"", 0.0, {**turn, "attempts": [{"plan": {}}, *turn["attempts"]]})
        self.assertEqual(twice.bits(), [([], []), ([1, 2], [-0.5, -0.5])])


class Drains(unittest.TestCase):
    def test_are_told_from_whole_lines(self) -> None:
        said = said_of('{"left": {"experts": 3}, "done": false}\n{"left": {}, "done": true}\n{"le')
        self.assertEqual([each["done"] for each in said], [False, True])

    def test_are_told_without_repetitions(self) -> None:
        lefts = [{"conversations": 2, "experts": 3}, {"conversations": 2, "experts": 3}, {"experts": 3}, {}, {}]
        self.assertEqual(course_of([{"left": left} for left in lefts]), "2 conversations, 3 experts; then 3 experts; then nothing")


class Texts(unittest.TestCase):
    def test_are_long_and_differ_from_their_first_word_on(self) -> None:
        for first, second in [prefixes.texts_of(question_set.HANDBOOK), self.of_a_folder("Äpfel sind rot."), self.of_a_folder("")]:
            self.assertGreaterEqual(len(first.encode()), prefixes.TEXT_BYTES)
            self.assertGreaterEqual(len(second.encode()), prefixes.TEXT_BYTES)
            self.assertNotEqual(first[:4], second[:4])

    def of_a_folder(self, text: str) -> tuple[str, str]:
        """With one document."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "one.md").write_text(text, encoding="utf-8")
            return prefixes.texts_of(Path(folder))

    def test_are_cut_between_characters(self) -> None:
        self.assertEqual(prefixes.cut("ää", 3), "ä")
        self.assertEqual(prefixes.cut("ab", 3), "ab")


class Questions(unittest.TestCase):
    def test_with_long_answers_come_first(self) -> None:
        rows = [("a", "short", "direct"), ("b", "rather long", "direct"), ("c", "so", "compare"), ("d", "middling", None)]
        questions = [{"question": q, "answer": a, **({"difficulty": d} if d else {})} for q, a, d in rows]
        self.assertEqual(likely_long(questions), ["c", "b", "d", "a"])

    def test_that_were_not_answered_are_wrong_and_cost_nothing(self) -> None:
        question = {"id": "q", "question": "Why?", "answer": "So.", "sections": ["rules#1"]}
        row = handbook.row_of(question, {**handbook.NOT_ANSWERED, "text": "not answered", "attempts": []}, {"attempts": []})
        self.assertEqual((row["right"], row["found"], row["missed"], row["cost"]), (False, False, ["rules#1"], 0))
        total = handbook.sums([row])
        self.assertEqual((total["asked"], total["correct"], total["reuse_fraction"], total["tiers"]), (1, 0, 0.0, {"none": 1}))


class Shown(unittest.TestCase):
    def test_is_every_problem_and_it_is_kept(self) -> None:
        stream = io.StringIO()
        shown = show.Show(stream)
        self.assertTrue(shown.check(True, "never seen"))
        self.assertFalse(shown.check(False, "left"))
        self.assertFalse(shown.same_bits(False, "never seen", "differs"))
        self.assertTrue(shown.same_bits(True, "equal", "never seen"))
        self.assertEqual(shown.problems, ["left", "differs"])
        self.assertEqual([line.split() for line in stream.getvalue().splitlines()],
                         [["FAILED", "left"], ["FAILED", "differs"], ["same", "bits", "equal"]])  # fmt: skip

    def test_are_beginnings_without_what_a_terminal_takes_for_a_command(self) -> None:
        self.assertEqual(show.excerpt("a\x1b[2J\n b\t\tc"), "a [2J b c")
        self.assertEqual(show.excerpt("abcdef", 5), "ab...")

    def test_is_why_a_tier_answered(self) -> None:
        mini = {"plan": {"tier": "mini", "confidence_min": 0.85, "why": "the rule begins there"}, "result": {"confidence": 0.5}}
        heavy = {"plan": {"tier": "heavy", "why": "escalated"}}
        self.assertEqual(show.why({"attempts": [mini, heavy]}), "mini was sure to 0.50, below 0.85")
        self.assertEqual(show.why({"attempts": [mini]}), "the rule begins there")


if __name__ == "__main__":
    unittest.main()

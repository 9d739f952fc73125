"""The demo asks a set of questions about a handbook, and judges each answer."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import question_set
import views
from asker import Asker
from show import Show, about, why

COUNTERS_EVERY = 1.0  # seconds; longer than nodes wait before they tell each other
# What a question counts for that was asked and not answered: it is wrong.
NOT_ANSWERED = {
    "answer": "", "citations": [], "tier": "none", "node": "none", "confidence": 0.0, "confident": False, "prompt_tokens": 0,
    "reused_tokens": 0, "generated_tokens": 0, "seconds": 0.0,
}  # fmt: skip
MEASURES = ("prompt_tokens", "reused_tokens", "generated_tokens", "seconds")


def row_of(question: dict, answer: dict, turn: dict) -> dict:
    """What one question came to: `answer` is of `troupe ask`, `turn` of `troupe explain`."""
    passages = {passage["section"] for attempt in turn["attempts"][-1:] for passage in attempt["plan"]["passages"]}
    return {
        "id": question["id"],
        "right": question_set.right(question, answer["answer"], {citation["section"] for citation in answer["citations"]}),
        "found": set(question["sections"]) <= passages,
        "missed": [section for section in question["sections"] if section not in passages],
        "text": answer["text"], "tier": answer["tier"], "node": answer["node"], "confidence": answer["confidence"],
        "attempts": len(answer["attempts"]),
        "cost": sum(attempt["result"]["cost"] for attempt in turn["attempts"] if "result" in attempt),
        **{key: answer[key] for key in MEASURES},
    }  # fmt: skip


def sums(rows: list[dict]) -> dict:
    """Over all questions."""
    prompt = sum(row["prompt_tokens"] for row in rows)
    return {
        "asked": len(rows), "correct": sum(row["right"] for row in rows), "escalated": sum(row["attempts"] > 1 for row in rows),
        "reuse_fraction": round(sum(row["reused_tokens"] for row in rows) / prompt, 4) if prompt else 0.0,
        "found": sum(row["found"] for row in rows), "correct_of_found": sum(row["right"] and row["found"] for row in rows),
        "tiers": dict(Counter(row["tier"] for row in rows)), "cost": sum(row["cost"] for row in rows),
        "generated_tokens": sum(row["generated_tokens"] for row in rows), "prompt_tokens": prompt,
        "engine_seconds": round(sum(row["seconds"] for row in rows), 3),
    }  # fmt: skip


class Handbook:
    """The questions of one run."""

    def __init__(self, asker: Asker, show: Show, folder: Path, alone: str | None) -> None:
        self.asker, self.show = asker, show
        self.names, _ = question_set.read_sections(folder)
        self.alone = ["--tier", alone] if alone else []

    def ask_all(self, questions: list[dict]) -> dict:
        """One after the other; returns the sums and, as "answers", what each came to."""
        before = self.settled_cost()
        began = time.monotonic()
        rows = [self.ask_one(question, f"{number}/{len(questions)}") for number, question in enumerate(questions, 1)]
        seconds = time.monotonic() - began
        total = {**sums(rows), "wall_seconds": round(seconds, 3)}
        return {**total, "cost_with_classification": self.settled_cost() - before, "answers": rows}

    def cost(self) -> int:
        """Of all engines, as far as they have told."""
        return views.computed_cost(self.asker.cluster.run("cluster", "status")["nodes"])

    def settled_cost(self) -> int:
        """The same once it stands still: nodes tell each other about their work a moment later."""
        before, cost = -1, self.cost()
        while cost != before:
            time.sleep(COUNTERS_EVERY)
            before, cost = cost, self.cost()
        return cost

    def ask_one(self, question: dict, label: str) -> dict:
        """Asked, judged and shown."""
        answer = self.asker.cluster.run("ask", *self.alone, "-", given=question["question"])
        turn = self.asker.cluster.run("explain", answer["turn"])
        if "error" in answer:
            said = f"not answered: {answer['error']['message']} ({answer['error']['code']})"
            answer = {**NOT_ANSWERED, **answer, "text": said}
            self.show.problems.append(f"question {question['id']} was {said}")
        row = row_of(question, answer, turn)
        self.show_one(question, label, row)
        self.show.line("by", about(answer))
        self.show.line("because", why(turn))
        self.show.gap()
        return row

    def show_one(self, question: dict, label: str, row: dict) -> None:
        """The question, its answer, and what the answer should have been."""
        show = self.show
        kind = f"{question['id']}, {question['difficulty']}" if "difficulty" in question else question["id"]
        show.line(label, f"{question['question']}  ({kind})")
        show.line("right" if row["right"] else "WRONG", row["text"])
        if not row["right"]:
            expected = " ".join([question["answer"]] + [f"[{self.names.get(section, section)}]" for section in question["sections"]])
            show.line("", f"expected: {expected}")
        if row["missed"]:
            show.line("", f"the search did not find {', '.join(self.names.get(section, section) for section in row['missed'])}")

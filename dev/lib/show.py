"""What a person reads of the demo, and the list of what was not as it should be."""

from __future__ import annotations

import textwrap
from typing import TextIO

WIDTH = 118
EXCERPT = 160  # characters


class Show:
    """Steps, paragraphs and problems, in the order in which they come."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.problems: list[str] = []

    def step(self, text: str) -> None:
        """Something begins, or is done."""
        print(f"dev/demo: {text}", file=self.stream, flush=True)

    def line(self, label: str, text: str) -> None:
        """A labelled paragraph."""
        print(textwrap.fill(text, WIDTH, initial_indent=f"  {label:<10}", subsequent_indent=" " * 12), file=self.stream, flush=True)

    def gap(self) -> None:
        """An empty line."""
        print(file=self.stream, flush=True)

    def check(self, holds: bool, problem: str) -> bool:
        """Says the problem, and keeps it, if it does not hold; returns whether it does."""
        if not holds:
            self.line("FAILED", problem)
            self.problems.append(problem)
        return holds

    def same_bits(self, same: bool, what: str, problem: str) -> bool:
        """The verdict over an answer that was made twice."""
        if same:
            self.line("same bits", what)
        return self.check(same, problem)


def excerpt(text: str, length: int = EXCERPT) -> str:
    """Its beginning, on one line, of characters that every terminal shows."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= length else line[: length - 3].rstrip() + "..."


def milliseconds(seconds: float) -> str:
    """For times between the blink of an eye and a few seconds."""
    return f"{seconds * 1000:.0f} ms"


def about(answer: dict) -> str:
    """Who answered, how sure, how fast, and what the cache saved."""
    speed = answer["generated_tokens"] / answer["seconds"] if answer["seconds"] > 0 else 0.0
    return (
        f"{answer['tier']} on {answer['node']}, confidence {answer['confidence']:.2f}{'' if answer['confident'] else ' (low)'}, "
        f"{speed:.0f} tokens/s, {answer['reused_tokens']} of {answer['prompt_tokens']} prompt tokens reused"
    )


def why(turn: dict) -> str:
    """How the router came to the tier that answered."""
    tried = []
    for attempt in turn["attempts"][:-1]:
        plan, result = attempt["plan"], attempt["result"]
        tried.append(f"{plan['tier']} was sure to {result['confidence']:.2f}, below {plan['confidence_min']:.2f}")
    return "; ".join(tried) or "".join(a["plan"]["why"] for a in turn["attempts"])


def summary(total: dict) -> str:
    """The sums over the handbook's questions."""
    tiers = ", ".join(f"{tier} {total['tiers'][tier]}" for tier in ("mini", "medium", "heavy", "none") if tier in total["tiers"])
    return (
        f"{total['correct']} of {total['asked']} right ({total['correct_of_found']} of the {total['found']} for which the search had found "
        f"the sections); answered by {tiers}; {total['escalated']} escalated; {total['reuse_fraction']:.0%} of prompt tokens reused; "
        f"{total['cost'] / 1e9:.1f} G parameters x tokens; {total['wall_seconds']:.1f} s"
    )

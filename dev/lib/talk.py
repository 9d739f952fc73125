"""The demo's conversation: something is said in it, and asked for again whenever the cluster has been disturbed."""

from __future__ import annotations

import random

import question_set
from asker import Asker
from cluster import Node
from show import Show


def follow_ups(handbook_is_bundled: bool, questions: list[dict], seed: int) -> list[str]:
    """A question about the handbook and one that cannot be understood without it."""
    if handbook_is_bundled:
        return ["Which classification do donor files carry?", "And how long are they kept?"]
    question = random.Random(seed).choice(questions)["question"]
    return [question, f"Remind me: {question}"]


class Talk:
    """One conversation, begun on a certain node, which is its home."""

    def __init__(self, asker: Asker, show: Show, home: Node, seed: int) -> None:
        self.asker, self.show, self.home = asker, show, home
        self.case = str(random.Random(seed).randrange(10000, 100000))
        self.conversation = ""
        self.remembered = True

    def begin(self, questions: list[str]) -> None:
        """States something, asks the handbook, and asks for what was stated."""
        self.conversation = self.say(f"I have case {self.case} open.")["conversation"]
        for question in questions:
            self.say(question)
        self.recall("What is my case number?", "after two other questions")

    def say(self, text: str) -> dict:
        """One turn, shown."""
        answer = self.asker.ask(text, *(["--conversation", self.conversation] if self.conversation else []), first=self.home)
        self.show.line("you", text)
        self.show.line("troupe", f"{answer['text']}  ({answer['tier']} on {answer['node']})")
        return answer

    def recall(self, question: str, when: str) -> None:
        """Whether what was stated is in the answer."""
        said = self.say(question)["answer"]
        kept = self.show.check(self.case in said, f'case {self.case} was forgotten {when}: "{question}" was answered with "{said}"')
        self.remembered = kept and self.remembered

"""The demo kills each node in the middle of an answer (kill -9), starts it again, and compares the answer with an undisturbed one."""

from __future__ import annotations

import time

import views
from asker import Answer, Asker
from cluster import Cluster, Node
from show import Show, excerpt

LONG_ENOUGH = 20  # tokens of an answer that can be interrupted
CANDIDATES_MAX = 12
KILLS_MAX = 5  # tries at hitting an answer in its middle
PLACED_PATIENCE = 60.0  # a node gives up the experts of another one ten seconds after that is back


def likely_long(questions: list[dict]) -> list[str]:
    """The questions, those first whose answers are long."""
    ordered = sorted(questions, key=lambda question: (question.get("difficulty") != "compare", -len(question["answer"])))
    return [question["question"] for question in ordered[:CANDIDATES_MAX]]


class Kills:
    """Of all nodes, one after the other."""

    def __init__(self, asker: Asker, show: Show, questions: list[dict], held: dict[str, int]) -> None:
        self.asker, self.show, self.held = asker, show, held
        self.candidates = likely_long(questions)

    @property
    def cluster(self) -> Cluster:
        """That outlives them."""
        return self.asker.cluster

    def run(self) -> dict:
        """Each node in turn; returns how many answers were hit, and whether all are as they should be."""
        kills = [self.kill(victim) for victim in self.cluster.nodes]
        return {
            "same_bits": all(kill["same_bits"] for kill in kills), "interrupted": sum(kill["interrupted"] for kill in kills),
            "kills": sum(kill["kills"] for kill in kills), "killed": kills,
        }  # fmt: skip

    def kill(self, victim: Node) -> dict:
        """One node, until an answer was hit in its middle."""
        self.cluster.wait_until("each node holds the experts that are placed on it, and no others", self.placed, PLACED_PATIENCE)
        question, whole = self.long_answer(victim)
        self.show.line("heavy", f"{question}  (asked over {victim.name}, answered by {whole.result['node']})")
        self.show.line("", whole.text)
        same, hit = True, False
        for tries in range(1, KILLS_MAX + 1):
            hit, equal = self.kill_in_mid_answer(victim, question, whole)
            same = same and equal
            self.cluster.wait_until_serving()
            if hit:
                break
        if not hit:
            self.show.line("", "the answer ended before its node was killed each time: too short, or the machine too busy")
        self.show.gap()
        return {"node": victim.name, "interrupted": hit, "kills": tries, "same_bits": same}

    def placed(self) -> bool:
        """Whether no node stands in for another one's experts."""
        nodes = self.cluster.status(self.cluster.nodes[0])
        return {name: views.experts_held(node) for name, node in nodes.items()} == self.held

    def long_answer(self, node: Node) -> tuple[str, Answer]:
        """A question whose answer is long enough to be interrupted, and its undisturbed answer; another one each time, as long as
        there are some, so that a node that runs heavy computes it itself."""
        best: tuple[str, Answer] | None = None
        for question in list(self.candidates):
            answer = self.asker.read(question, node)
            if best is None or answer.result["generated_tokens"] > best[1].result["generated_tokens"]:
                best = (question, answer)
            if answer.result["generated_tokens"] >= LONG_ENOUGH:
                break
        assert best is not None
        if len(self.candidates) > 1:
            self.candidates.remove(best[0])
        return best

    def kill_in_mid_answer(self, victim: Node, question: str, whole: Answer) -> tuple[bool, bool]:
        """Kills the node at the first words of the answer, starts it again and reads on. Returns whether the answer was under way,
        and whether it has the bits of the undisturbed one."""
        with self.asker.stream(question, victim) as stream:
            stream.first_words()
            victim.kill()
            killed = time.monotonic()
            words = stream.take()  # what was on its way
            victim.start()
            answer = stream.whole()
        seconds = time.monotonic() - killed
        hit = len(words) < len(whole.text)
        if hit:
            self.show.line("kill -9", f'node {victim.name}, after "{excerpt(words)}"')
            self.show.line("", answer.text)
        same = answer.same_as(whole)
        problem = f'the answer to "{question}" differs from the undisturbed one after node {victim.name} was killed'
        if hit:
            self.show.same_bits(same, f"ended by {answer.result['node']}, {seconds:.1f} s after the kill", problem)
        else:
            self.show.check(same, problem)
        return hit, same

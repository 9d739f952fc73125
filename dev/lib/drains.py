"""The demo drains a node that holds conversations, experts and a running answer, and lets it join again."""

from __future__ import annotations

import json
import time

import views
from asker import Answer, Asker
from cluster import Cluster, Node
from show import Show, excerpt

QUESTION = "Compare everything."
# So hot that each token is a draw among thousands: a long answer, and another one in every bit if one draw is.
OPTIONS = ["--grounding", "never", "--temperature", "10", "--tokens", "800"]
LONG_ENOUGH = 500  # tokens; more than are drawn before a drain begins
SEEDS_MAX = 12
DRAINS_MAX = 3  # tries at hitting an answer in its middle
DRAIN_PATIENCE = 60.0


def said_of(lines: str) -> list[dict]:
    """What `troupe cluster drain --json` said, without a last line that is not whole."""
    return [json.loads(line) for line in lines.splitlines(keepends=True) if line.endswith("\n")]


def course_of(said: list[dict]) -> str:
    """In words: what was left, from the beginning to the end."""
    lefts: list[str] = []
    for each in said:
        if not lefts or lefts[-1] != views.in_words(each["left"]):
            lefts.append(views.in_words(each["left"]))
    return "; then ".join(lefts)


class Drains:
    """One node's."""

    def __init__(self, asker: Asker, show: Show, node: Node, seed: int) -> None:
        self.asker, self.show, self.node, self.seed = asker, show, node, seed

    @property
    def cluster(self) -> Cluster:
        """That it is part of."""
        return self.asker.cluster

    def run(self) -> dict:
        """Drains the node until an answer was hit in its middle; all are compared with an undisturbed one."""
        options, whole = self.long_answer()
        held = views.stored(self.cluster.view(self.node))
        same = True
        for tries in range(1, DRAINS_MAX + 1):
            drained = self.drain_in_mid_answer(options, whole)
            ended_on = drained["answer_ended_on"]
            same = same and drained["same_bits"]
            if ended_on != self.node.name or tries == DRAINS_MAX:
                break
            self.show.line("", "it had ended before it could be moved; once more")
            self.join()
        self.show.check(ended_on != self.node.name,
            f"an answer that {self.node.name} runs is to go on elsewhere; it ended there each of {tries} times")  # fmt: skip
        return {"node": self.node.name, "held": held, **drained, "same_bits": same, "drains": tries}

    def drain_in_mid_answer(self, options: list[str], whole: Answer) -> dict:
        """One drain, which begins after the first words of an answer."""
        self.asker.settle(self.node)
        held = views.stored(self.cluster.view(self.node))
        with self.asker.stream(QUESTION, self.node, options) as stream:
            words = stream.first_words()
            self.show.line("drain", f"{self.node.name}, which holds {views.in_words(held)}, and runs an answer of "
                                    f"{whole.result['generated_tokens']} tokens drawn at temperature 10 that has begun with "
                                    f"\"{excerpt(words, 40)}\"")  # fmt: skip
            began = time.monotonic()
            said = self.drain()
            seconds = time.monotonic() - began
            answer = stream.whole()
        self.show.line("", f"left: {course_of(said)}; after {seconds:.1f} s")
        self.show.line("", "; ".join(f"{name} holds {views.in_words(views.stored(node))}" for name, node in self.others()))
        return {"seconds": round(seconds, 3), **self.judge(answer, whole)}

    def long_answer(self) -> tuple[list[str], Answer]:
        """An undisturbed answer that no end was drawn for too soon, and what it was asked with."""
        tried: list[tuple[bool, int, list[str], Answer]] = []
        for seed in range(self.seed, self.seed + SEEDS_MAX):
            options = [*OPTIONS, "--seed", str(seed)]
            answer = self.asker.read(QUESTION, self.node, options)
            tried.append((answer.result["node"] == self.node.name, answer.result["generated_tokens"], options, answer))
            if tried[-1][:2] >= (True, LONG_ENOUGH):
                break
        here, _, options, answer = max(tried, key=lambda each: each[:2])
        if not here:
            raise self.cluster.error(f"{self.node.name} ran none of {len(tried)} answers that were asked for over it")
        return options, answer

    def others(self) -> list[tuple[str, dict]]:
        """The nodes that are not drained."""
        return [(node.name, self.cluster.view(node)) for node in self.cluster.nodes if node is not self.node]

    def drain(self) -> list[dict]:
        """`troupe cluster drain` until it ends; ClusterError if it fails, or the node does."""
        ran = self.cluster.troupe("cluster", "drain", self.node.name, patience=DRAIN_PATIENCE)
        said = said_of(ran.output)
        if ran.status != 0 or not said or not said[-1]["done"]:
            raise self.cluster.error(f"troupe cluster drain {self.node.name} ended with status {ran.status}: {ran.errors}")
        return said

    def judge(self, answer: Answer, whole: Answer) -> dict:
        """Whether nothing is left on the node, and the answer went on elsewhere."""
        name, ended_on = self.node.name, answer.result["node"]
        after = self.cluster.view(self.node)
        left = views.holdings(after)
        self.show.check(not left and views.experts_held(after) == 0,
            f"{name} was drained, and still holds {views.in_words(left)}, and answers for {views.experts_held(after)} experts")  # fmt: skip
        same = self.show.same_bits(answer.same_as(whole),
            f"the answer ended on {ended_on}, and all {len(answer.output)} bytes that its reader saw are those of an undisturbed one",
            f"the answer that was moved from {name} to {ended_on} differs from the undisturbed one")  # fmt: skip
        return {
            "left": left, "answer_ended_on": ended_on, "answer_tokens": answer.result["generated_tokens"], "same_bits": same,
        }  # fmt: skip

    def join(self) -> int:
        """`troupe cluster join`, until all nodes serve again and this one has its experts; returns how many."""
        self.cluster.run("cluster", "join", self.node.name)
        self.cluster.wait_until_serving()
        self.cluster.wait_until(f"{self.node.name} holds experts again", lambda: views.experts_held(self.cluster.view(self.node)) > 0)
        held = views.experts_held(self.cluster.view(self.node))
        self.show.line("join", f"{self.node.name} serves, and holds {held} experts again")
        return held

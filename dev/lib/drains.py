"""The demo drains a node that holds conversations, experts and a running answer, and lets it join again."""

from __future__ import annotations

import json
import subprocess
import time

import views
from asker import Answer, Asker
from cluster import Cluster, Node
from show import Show, excerpt

QUESTION = "Compare everything."
# So hot that each token is a draw among thousands: a long answer, and another one in every bit if one draw is.
OPTIONS = ["--grounding", "never", "--temperature", "10", "--tokens", "600"]
DRAIN_PATIENCE = 60.0
LOOK_EVERY = 0.1


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

    def __init__(self, asker: Asker, show: Show, node: Node, door: Node, seed: int) -> None:
        self.asker, self.show, self.node, self.door = asker, show, node, door
        self.options = [*OPTIONS, "--seed", str(seed)]

    @property
    def cluster(self) -> Cluster:
        """That it is part of."""
        return self.asker.cluster

    def run(self) -> dict:
        """Drains the node in the middle of an answer, which is compared with an undisturbed one."""
        whole = self.asker.read(QUESTION, self.node, self.options)
        before = self.cluster.view(self.node)
        with self.asker.stream(QUESTION, self.node, self.options) as stream:
            words = stream.first_words()
            self.show.line("drain", f"{self.node.name}, which holds {views.in_words(views.holdings(before))}, and runs an answer of "
                                    f"{whole.result['generated_tokens']} tokens drawn at temperature 10 that has begun with "
                                    f"\"{excerpt(words, 40)}\"")  # fmt: skip
            began = time.monotonic()
            said = self.drain(began + DRAIN_PATIENCE)
            seconds = time.monotonic() - began
            answer = stream.whole()
        self.show.line("", f"left: {course_of(said)}; after {seconds:.1f} s")
        self.show.line("", "; ".join(f"{name} holds {views.in_words(views.stored(node))}" for name, node in self.others()))
        return {"seconds": round(seconds, 3), **self.judge(before, answer, whole)}

    def others(self) -> list[tuple[str, dict]]:
        """The nodes that are not drained."""
        return [(node.name, self.cluster.view(node)) for node in self.cluster.nodes if node is not self.node]

    def drain(self, until: float) -> list[dict]:
        """`troupe cluster drain` until it ends; ClusterError if it fails, or the node does."""
        command = [str(self.cluster.troupe), "cluster", "drain", self.node.name, "--json", *self.cluster.connect(self.door)]
        draining = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
        what = f"troupe cluster drain {self.node.name}"
        try:
            while True:
                try:
                    lines, errors = draining.communicate(timeout=LOOK_EVERY)
                    break
                except subprocess.TimeoutExpired as error:
                    self.cluster.check_alive(f"during {what}")
                    if time.monotonic() > until:
                        left = views.in_words(views.holdings(self.cluster.view(self.node)))
                        raise self.cluster.error(f"{what} has not ended after {DRAIN_PATIENCE:.0f} s; left: {left}") from error
        finally:
            draining.kill()
            draining.wait()
        said = said_of(lines)
        if draining.returncode != 0 or not said or not said[-1]["done"]:
            raise self.cluster.error(f"{what} ended with status {draining.returncode}: {errors.strip()}")
        return said

    def judge(self, before: dict, answer: Answer, whole: Answer) -> dict:
        """Whether nothing is left on the node, and the answer went on elsewhere."""
        name, ended_on = self.node.name, answer.result["node"]
        after = self.cluster.view(self.node)
        left = views.holdings(after)
        empty = self.show.check(not left and views.experts_held(after) == 0,
            f"{name} was drained, and still holds {views.in_words(left)}, and answers for {views.experts_held(after)} experts")  # fmt: skip
        moved = self.show.check(ended_on != name, f"the answer that {name} ran was to go on elsewhere, and ended on {name}")
        same = self.show.same_bits(answer.same_as(whole),
            f"the answer went on on {ended_on}, and all {len(answer.output)} bytes that its reader saw are those of an undisturbed one",
            f"the answer that was moved from {name} to {ended_on} differs from the undisturbed one")  # fmt: skip
        return {
            "node": name, "held": views.holdings(before), "left": left, "empty": empty, "answer_moved_to": ended_on if moved else None,
            "answer_tokens": answer.result["generated_tokens"], "same_bits": same,
        }  # fmt: skip

    def join(self) -> bool:
        """`troupe cluster join`, until all nodes serve again and this one has its experts."""
        said = self.cluster.run("cluster", "join", self.node.name)
        if not self.show.check("error" not in said, f"troupe cluster join {self.node.name}: {said.get('error')}"):
            return False
        self.cluster.wait_until_serving()
        self.cluster.wait_until(f"{self.node.name} holds experts again", lambda: views.experts_held(self.cluster.view(self.node)) > 0)
        held = views.experts_held(self.cluster.view(self.node))
        self.show.line("join", f"{self.node.name} serves, and holds {held} experts again")
        return True

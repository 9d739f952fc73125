"""Questions to a cluster: asked and waited for, or read while the answer is made; and when two answers are the same."""

from __future__ import annotations

import os
import re
import select
import time
from dataclasses import dataclass

import views
from cluster import LOOK_EVERY, Cluster, Node, piped

ASK_PATIENCE = 60.0
QUOTED_MAX = 80  # characters of a question


@dataclass(frozen=True)
class Answer:
    """What a reader saw, and what the cluster keeps of it."""

    output: bytes
    first_seconds: float  # from the start of `troupe ask` until its first word
    turn: dict  # as `troupe explain --tokens --json` has it

    @property
    def text(self) -> str:
        """The answer without the list of what it cites."""
        return self.turn["outcome"]["answer"]

    @property
    def result(self) -> dict:
        """Of the attempt that answered: node, prompt_tokens, reused_tokens, generated_tokens."""
        return self.turn["attempts"][-1]["result"]

    def bits(self) -> list[tuple[list[int], list[float]]]:
        """Token ids and log-probabilities of each attempt."""
        emissions = [attempt.get("result", {}).get("emissions", []) for attempt in self.turn["attempts"]]
        return [
            ([i for e in attempt for i in e["ids"]], [p for e in attempt for p in e["log_probabilities"]]) for attempt in emissions
        ]

    def same_as(self, other: "Answer") -> bool:
        """Every token, every probability, and every byte that was shown."""
        return self.output == other.output and self.bits() == other.bits()


class Stream:
    """`troupe ask` while its answer comes: a draft by heavy, over one node first. Killed when the block ends."""

    def __init__(self, cluster: Cluster, question: str, first: Node, options: list[str]) -> None:
        self.cluster = cluster
        self.what = f'the answer to "{question[-QUOTED_MAX:]}"'
        command = [str(cluster.program), "ask", "--assurance", "draft", "--tier", "heavy", *options, *cluster.connect(first), "-"]
        self.began = time.monotonic()
        self.process = piped(command, question)
        self.first_seconds = 0.0
        self.shown = b""

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def first_words(self) -> str:
        """Waits for them, as long as all nodes run."""
        assert self.process.stdout is not None
        while not select.select([self.process.stdout], [], [], LOOK_EVERY)[0]:
            self.cluster.check_alive(f"before {self.what}")
            if time.monotonic() > self.began + ASK_PATIENCE:
                raise self.cluster.error(f"{self.what} has no first word after {ASK_PATIENCE:.0f} s")
        self.shown = os.read(self.process.stdout.fileno(), 1 << 16)
        self.first_seconds = time.monotonic() - self.began
        return self.shown.decode(errors="ignore")

    def take(self) -> str:
        """All that has been shown by now."""
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], 0)[0]:
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                break
            self.shown += more
        return self.shown.decode(errors="ignore")

    def whole(self) -> Answer:
        """Waits for the end, as long as all nodes run."""
        rest, said = self.cluster.wait_for(self.process, self.what, ASK_PATIENCE)
        turn = re.search(r"^turn (\S+)$", said.decode(errors="replace"), re.MULTILINE)
        if self.process.returncode != 0 or turn is None:
            raise self.cluster.error(f"{self.what} failed: {said.decode(errors='replace').strip()}")
        return Answer(self.shown + rest, self.first_seconds, self.cluster.run("explain", "--tokens", turn[1]))


class Asker:
    """Asks one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def ask(self, question: str, *options: str, first: Node | None = None) -> dict:
        """One answer, as `troupe ask --json` has it; ClusterError if there is none."""
        answer = self.cluster.run("ask", *options, "-", given=question, first=first)
        if "error" in answer:
            raise self.cluster.error(f"\"{question}\" was not answered: {answer['error']['message']} ({answer['error']['code']})")
        return answer

    def stream(self, question: str, first: Node, options: list[str] | None = None) -> Stream:
        """An answer to be read while it is made."""
        return Stream(self.cluster, question, first, options or [])

    def settle(self, node: Node) -> None:
        """Until a node knows that its engines are idle. Then what is asked over it runs there, unless another one has more of the
        prompt."""
        self.cluster.wait_until(f"{node.name} is idle", lambda: views.is_idle(self.cluster.view(node)))

    def read(self, question: str, first: Node, options: list[str] | None = None) -> Answer:
        """The same, undisturbed."""
        self.settle(first)
        with self.stream(question, first, options) as stream:
            stream.first_words()
            return stream.whole()

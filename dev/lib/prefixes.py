"""The demo asks about a long text that one node has computed, of another one: that fetches its KV blocks instead."""

from __future__ import annotations

import time
from pathlib import Path

from asker import Answer, Asker
from cluster import LOOK_EVERY, Cluster, ClusterError, Node
from show import Show, excerpt, milliseconds

TEXT_BYTES = 5000  # some 1500 of the 1792 tokens that a prompt of heavy may have
TEXT_BYTES_MIN = 200
QUESTION = "\n\nWhich rules does this text contain?"
OPTIONS = ["--grounding", "never", "--tokens", "24"]
COUNTED_WITHIN = 10.0  # seconds, until a node has said what it has fetched


def texts_of(folder: Path) -> tuple[str, str]:
    """Two texts of at least TEXT_BYTES from a folder of Markdown, which differ from the first word on."""
    words = " ".join(path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.glob("*.md"))).split()
    half = len(words) // 2
    return long(["First:", *words[:half]]), long(["Second:", *words[half:]])


def long(words: list[str]) -> str:
    """These words, repeated if they are too few."""
    text = " ".join(words) + " "
    return text * -(-TEXT_BYTES // len(text.encode()))


def cut(text: str, length: int) -> str:
    """At most that many bytes of it."""
    return text.encode()[:length].decode(errors="ignore")


class Prefixes:
    """The texts of one run, and what became of them."""

    def __init__(self, asker: Asker, show: Show, folder: Path) -> None:
        self.asker, self.show = asker, show
        self.known, self.other = texts_of(folder)
        self.bytes = TEXT_BYTES
        self.computed: Answer | None = None

    @property
    def cluster(self) -> Cluster:
        """That is asked."""
        return self.asker.cluster

    def read(self, text: str, node: Node) -> Answer:
        """The answer about a text, asked over one node."""
        return self.asker.read(cut(text, self.bytes) + QUESTION, node, OPTIONS)

    def compute(self, node: Node) -> None:
        """The first text, on a node that has not seen it."""
        while self.computed is None:
            try:
                self.computed = self.read(self.known, node)
            except ClusterError as error:
                # Nothing was computed: a text in another language may have more tokens in as many bytes.
                if "(too_large)" not in str(error) or self.bytes < 2 * TEXT_BYTES_MIN:
                    raise
                self.bytes //= 2
        self.show.line("long text", f"{len(cut(self.known, self.bytes).encode())} bytes: {excerpt(self.known)}")
        self.show_times("computed", self.computed)

    def show_times(self, how: str, answer: Answer) -> None:
        """When the first word came."""
        result = answer.result
        missing = result["prompt_tokens"] - result["reused_tokens"]
        self.show.line(how, f"{milliseconds(answer.first_seconds)} to the first word: {result['node']} computed {missing} of "
                            f"{result['prompt_tokens']} prompt tokens")  # fmt: skip

    def fetch(self, node: Node, source: Node) -> dict:
        """The first text again, on `node`, which fetches it from `source`; and the second, which nobody has computed."""
        assert self.computed is not None
        before = self.cluster.view(node)["kv_blocks"]
        fetched = self.read(self.known, node)
        traffic = self.traffic(node, before)
        lent = self.cluster.view(source)["kv_blocks"]["lent"]
        other = self.read(self.other, node)
        self.show_times("fetched", fetched)
        self.show.line("", f"{traffic['fetched']} KV blocks ({traffic['fetched_bytes'] / 1e6:.1f} MB) came to {node.name}; "
                           f"{source.name} has lent {lent} since it started")  # fmt: skip
        self.show_times("computed", other)
        self.show.line("", "another text as long, on the same node, for comparison")
        return self.judge(fetched, other, traffic, node, source)

    def traffic(self, node: Node, before: dict) -> dict:
        """What the node has fetched since then: it says so a moment later, if it has."""

        def since() -> dict:
            now = self.cluster.view(node)["kv_blocks"]
            return {key: now[key] - before[key] for key in ("fetched", "fetched_bytes", "wrong")}

        until = time.monotonic() + COUNTED_WITHIN
        while since()["fetched"] == 0 and time.monotonic() < until:
            time.sleep(LOOK_EVERY)
        return since()

    def judge(self, fetched: Answer, other: Answer, traffic: dict, node: Node, source: Node) -> dict:
        """Whether blocks came, and whether that made no difference."""
        assert self.computed is not None
        self.show.check(traffic["fetched"] > 0 and traffic["wrong"] == 0,
            f"{node.name} fetched {traffic['fetched']} KV blocks from {source.name}, of which {traffic['wrong']} were wrong; expected "
            "some, and none wrong")  # fmt: skip
        same = self.show.same_bits(fetched.same_as(self.computed), f"{node.name} gave the answer that {source.name} gave",
            f"the answer from blocks that {node.name} fetched differs from the one that {source.name} computed")  # fmt: skip
        return {
            "from": source.name, "to": node.name, "same_bits": same,
            "prompt_tokens": fetched.result["prompt_tokens"], "reused_tokens": fetched.result["reused_tokens"],
            "blocks_fetched": traffic["fetched"], "bytes_fetched": traffic["fetched_bytes"],
            "first_word_seconds": {
                "computed": round(self.computed.first_seconds, 4), "fetched": round(fetched.first_seconds, 4),
                "computed_there": round(other.first_seconds, 4),
            },
        }  # fmt: skip

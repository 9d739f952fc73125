"""A cluster of `troupe node` processes on loopback, for the commands of this repository; it ends with the process that owns it."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import time
from pathlib import Path

START_PATIENCE = 60.0  # seconds, for a machine that is busy with something else
PR_SET_PDEATHSIG = 1


class ClusterError(Exception):
    """Something that a person must look at; the message says what and where."""


def die_with_parent() -> None:
    """In a new process: the kernel kills it when its parent ends, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Node:
    """One process: started, killed and started again under the same name, folder and addresses."""

    def __init__(self, troupe: Path, folder: Path, name: str, tiers: list[str], corpus: Path, join: "Node | None" = None) -> None:
        self.troupe, self.folder, self.name, self.tiers, self.corpus, self.join = troupe, folder, name, tiers, corpus, join
        self.log = folder / f"{name}.log"
        self.clients = self.cluster = "127.0.0.1:0"  # what the system gives at the first start is kept
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it says where it listens; ClusterError with the end of its log if it does not."""
        command = [str(self.troupe), "node", "--json", "--name", self.name, "--data", str(self.folder / self.name)]
        command += ["--listen", self.clients, "--cluster", self.cluster, "--corpus", str(self.corpus)]
        command += [word for tier in self.tiers for word in ("--tier", tier)]
        command += ["--join", self.join.cluster] if self.join else []
        said = self.folder / f"{self.name}.started"
        # A session of its own: Ctrl-C on the terminal is for the command, not for its nodes.
        with said.open("wb") as output, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=log, start_new_session=True, preexec_fn=die_with_parent
            )
        until = time.monotonic() + START_PATIENCE
        while not said.read_text(encoding="utf-8").endswith("\n"):
            if self.process.poll() is not None or time.monotonic() > until:
                ended = "did not start in time" if self.process.poll() is None else f"ended with status {self.process.returncode}"
                raise ClusterError(f"node {self.name} {ended}; its log {self.log} ends with:\n{self.last_words()}")
            time.sleep(0.02)
        started = json.loads(said.read_text(encoding="utf-8"))
        self.clients, self.cluster = started["clients"][0], started["cluster"]

    def last_words(self) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])

    def kill(self) -> None:
        """As a power failure would: nothing is told, nothing is written."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Cluster:
    """Nodes that are killed when the block ends."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.troupe = nodes[0].troupe

    def __enter__(self) -> "Cluster":
        try:
            for node in self.nodes:
                node.start()
            self.wait_until_serving()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """All of them."""
        for node in self.nodes:
            node.kill()

    def connect(self, first: Node | None = None) -> list[str]:
        """Options for a client that goes to one node first and knows the others."""
        ordered = sorted(self.nodes, key=lambda node: node is not first) if first else self.nodes
        return [word for node in ordered for word in ("--connect", node.clients)]

    def run(self, *arguments: str, given: str = "") -> dict:
        """What a command with --json says when its standard input is `given`. Its status may be 1: then "error" says why."""
        command = [str(self.troupe), *arguments, "--json", *self.connect()]
        ran = subprocess.run(command, input=given, capture_output=True, text=True, encoding="utf-8", check=False)
        if not ran.stdout.strip():
            raise ClusterError(f"troupe {' '.join(arguments)} ended with status {ran.returncode}: {ran.stderr.strip()}")
        return json.loads(ran.stdout)

    def serves(self) -> bool:
        """Whether every node sees all of them serve."""
        for node in self.nodes:
            command = [str(self.troupe), "cluster", "status", "--json", "--connect", node.clients]
            ran = subprocess.run(command, capture_output=True, check=False)
            if ran.returncode != 0 or [n["state"] for n in json.loads(ran.stdout)["nodes"]] != ["serving"] * len(self.nodes):
                return False
        return True

    def wait_until_serving(self) -> None:
        """ClusterError with the logs if they do not."""
        until = time.monotonic() + START_PATIENCE
        while not self.serves():
            for node in self.nodes:
                if node.process is not None and node.process.poll() is not None:
                    raise ClusterError(f"node {node.name} ended; its log {node.log} ends with:\n{node.last_words()}")
            if time.monotonic() > until:
                logs = "\n".join(f"{node.log}:\n{node.last_words()}" for node in self.nodes)
                raise ClusterError(f"the nodes do not all serve after {START_PATIENCE:.0f} s:\n{logs}")
            time.sleep(0.05)

"""A cluster of `troupe node` processes on loopback, for the commands of this repository; it ends with the process that owns it."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

START_PATIENCE = 60.0  # seconds, for a machine that is busy with something else
RUN_PATIENCE = 180.0  # longer than a question's deadline
LOOK_EVERY = 0.05
LAST_WORDS = 10  # lines of a log
PR_SET_PDEATHSIG = 1


class ClusterError(Exception):
    """Something that a person must look at; the message says what and where."""


def die_with_parent() -> None:
    """In a new process: the kernel kills it when its parent ends, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def piped(command: list[str], given: str) -> subprocess.Popen[bytes]:
    """A process that reads this from its standard input, whether or not it ever does."""
    with tempfile.TemporaryFile() as file:
        file.write(given.encode())
        file.seek(0)
        return subprocess.Popen(command, bufsize=0, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Node:
    """One process: started, killed and started again under the same name, folder and addresses."""

    def __init__(self, troupe: Path, folder: Path, name: str, options: list[str], join: "Node | None" = None) -> None:
        self.troupe, self.folder, self.name, self.options, self.join = troupe, folder, name, options, join
        self.log = folder / f"{name}.log"
        self.clients = self.cluster = "127.0.0.1:0"  # what the system gives at the first start is kept
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it says where it listens; ClusterError with the end of its log if it does not."""
        command = [str(self.troupe), "node", "--json", "--name", self.name, "--data", str(self.folder / self.name)]
        command += ["--listen", self.clients, "--cluster", self.cluster, *self.options]
        command += ["--join", self.join.cluster] if self.join else []
        said = self.folder / f"{self.name}.started"
        # A session of its own: Ctrl-C on the terminal is for the command, not for its nodes.
        with said.open("wb") as output, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=log, start_new_session=True, preexec_fn=die_with_parent
            )
        until = time.monotonic() + START_PATIENCE
        while not said.read_text(encoding="utf-8").endswith("\n"):
            if self.ended() or time.monotonic() > until:
                raise ClusterError(self.ended() or f"node {self.name} did not start in time; {self.last_words()}")
            time.sleep(0.02)
        started = json.loads(said.read_text(encoding="utf-8"))
        self.clients, self.cluster = started["clients"][0], started["cluster"]

    def ended(self) -> str:
        """How it ended, with the end of its log; empty while it runs."""
        if self.process is None or self.process.poll() is None:
            return ""
        return f"node {self.name} ended with status {self.process.returncode}; {self.last_words()}"

    def last_words(self) -> str:
        """The end of the log, and where it is."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_WORDS:]
        return "\n  ".join([f"its log {self.log} ends with:", *lines])

    def kill(self) -> None:
        """As a power failure would: nothing is told, nothing is written."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    status: int
    output: str
    errors: str


class Cluster:
    """Nodes that are killed when the block ends."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.program = nodes[0].troupe

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

    def error(self, what: str) -> ClusterError:
        """To be raised: what went wrong, and which nodes have ended that nobody meant to."""
        return ClusterError("\n".join([what, *(ended for node in self.nodes if (ended := node.ended()))]))

    def check_alive(self, when: str) -> None:
        """ClusterError if a node has ended."""
        if any(node.ended() for node in self.nodes):
            raise self.error(f"a node has ended {when}")

    def run(self, *arguments: str, given: str = "", first: Node | None = None) -> dict:
        """What a command with --json says when its standard input is `given`. Its status may be 1: then "error" says why."""
        ran = self.troupe(*arguments, given=given, first=first)
        if not ran.output.strip():
            raise self.error(f"troupe {' '.join(arguments)} ended with status {ran.status}: {ran.errors}")
        return json.loads(ran.output)

    def troupe(self, *arguments: str, given: str = "", first: Node | None = None, patience: float = RUN_PATIENCE) -> Ran:
        """A command with --json, run to its end, as long as all nodes run."""
        command = [str(self.program), *arguments, "--json", *self.connect(first)]
        with piped(command, given) as process:
            try:
                output, errors = self.wait_for(process, f"troupe {' '.join(arguments)}", patience)
            finally:
                process.kill()
        return Ran(process.returncode, output.decode(errors="replace"), errors.decode(errors="replace").strip())

    def wait_for(self, process: subprocess.Popen[bytes], what: str, patience: float) -> tuple[bytes, bytes]:
        """What it writes until it ends; ClusterError if it does not, or if a node ends first."""
        until = time.monotonic() + patience
        while True:
            try:
                return process.communicate(timeout=LOOK_EVERY)
            except subprocess.TimeoutExpired as error:
                self.check_alive(f"during {what}")
                if time.monotonic() > until:
                    raise self.error(f"{what} has not ended after {patience:.0f} s") from error

    def status(self, seen_by: Node) -> dict[str, dict]:
        """What one node knows of each, by name; empty if it does not answer."""
        command = [str(self.program), "cluster", "status", "--json", "--connect", seen_by.clients]
        try:
            ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=RUN_PATIENCE)
        except subprocess.TimeoutExpired:
            return {}
        return {node["node"]: node for node in json.loads(ran.stdout)["nodes"]} if ran.returncode == 0 else {}

    def view(self, node: Node) -> dict:
        """A node as it sees itself."""
        views = self.status(node)
        if node.name not in views:
            raise self.error(f"node {node.name} does not say how it is; {node.last_words()}")
        return views[node.name]

    def wait_until(self, what: str, holds: Callable[[], bool], patience: float = START_PATIENCE) -> None:
        """ClusterError with the logs if it does not come to hold, or if a node ends meanwhile."""
        until = time.monotonic() + patience
        while not holds():
            self.check_alive(f"before {what}")
            if time.monotonic() > until:
                logs = "\n".join(f"node {node.name}: {node.last_words()}" for node in self.nodes)
                raise ClusterError(f"this has not come within {patience:.0f} s: {what}\n{logs}")
            time.sleep(LOOK_EVERY)

    def serves(self) -> bool:
        """Whether every node sees all of them serve."""
        everybody = {node.name: "serving" for node in self.nodes}
        return all({name: view["state"] for name, view in self.status(node).items()} == everybody for node in self.nodes)

    def wait_until_serving(self) -> None:
        """ClusterError with the logs if they do not."""
        self.wait_until("every node sees all of them serve", self.serves)

"""Whatever goes wrong with a node or a command, the demo says what it was and where the log is, and leaves no process behind."""

import os
import signal
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "dev" / "lib"))
from cluster import Cluster, ClusterError, Node  # noqa: E402

# Stands in for `troupe`: its node "bad" does not start, asking fails, explaining never ends.
PROGRAM = """#!/bin/sh
case "$*" in
  node*--name\\ bad*) echo "there is no such model" >&2; exit 3 ;;
  node*) echo "all is well" >&2; echo '{"clients": ["127.0.0.1:1"], "cluster": "127.0.0.1:2"}'; exec sleep 60 ;;
  cluster*) echo '{"nodes": [{"node": "one", "state": "serving"}]}' ;;
  ask*) echo "nobody answers" >&2; exit 1 ;;
  history*) printf '{"given": "%s"}' "$(cat)" ;;
  explain*) exec sleep 60 ;;
esac
"""


class Clusters(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.program = self.folder / "troupe"
        self.program.write_text(PROGRAM, encoding="utf-8")
        self.program.chmod(0o700)

    def node(self, name: str) -> Node:
        """Not yet running."""
        return Node(self.program, self.folder, name, [])

    def says(self, error: ClusterError, *parts: str) -> None:
        """All of these."""
        for part in parts:
            self.assertIn(part, str(error))

    def test_end_with_the_block_that_they_are_needed_in(self) -> None:
        with Cluster([self.node("one")]) as cluster:
            node = cluster.nodes[0]
            self.assertEqual((node.clients, node.cluster, node.ended()), ("127.0.0.1:1", "127.0.0.1:2", ""))
            self.assertEqual(cluster.run("history", given="said"), {"given": "said"})
        assert node.process is not None
        self.assertEqual(node.process.returncode, -signal.SIGKILL)

    def test_of_which_a_node_does_not_start_say_why_and_end_the_others(self) -> None:
        nodes = [self.node("one"), self.node("bad")]
        with self.assertRaises(ClusterError) as raised, Cluster(nodes):
            self.fail("it started")
        self.says(raised.exception, "node bad ended with status 3", str(self.folder / "bad.log"), "there is no such model")
        assert nodes[0].process is not None
        self.assertEqual(nodes[0].process.returncode, -signal.SIGKILL)

    def test_say_why_a_command_failed(self) -> None:
        with Cluster([self.node("one")]) as cluster, self.assertRaises(ClusterError) as raised:
            cluster.run("ask", "why?")
        self.says(raised.exception, "troupe ask why? ended with status 1: nobody answers")

    def test_say_which_node_ended_while_a_command_ran(self) -> None:
        with Cluster([self.node("one")]) as cluster, self.assertRaises(ClusterError) as raised:
            process = cluster.nodes[0].process
            assert process is not None
            os.kill(process.pid, signal.SIGTERM)
            cluster.run("explain", "turn")
        self.says(raised.exception, "during troupe explain turn", "node one ended with status -15", "one.log", "all is well")

    def test_say_what_was_waited_for_too_long(self) -> None:
        with Cluster([self.node("one")]) as cluster:
            with self.assertRaises(ClusterError) as raised:
                cluster.troupe("explain", patience=0.1)
            self.says(raised.exception, "troupe explain has not ended after 0 s")
            with self.assertRaises(ClusterError) as raised:
                cluster.wait_until("pigs fly", lambda: False, patience=0.1)
            self.says(raised.exception, "pigs fly", "node one", str(self.folder / "one.log"), "all is well")


if __name__ == "__main__":
    unittest.main()

"""The demo once the program is built: three nodes, a handbook's questions, a conversation, a prefix that is fetched, a node that is
drained, and each node killed in mid-answer.

`dev/demo` calls it and explains its options.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import question_set  # noqa: E402
import views  # noqa: E402
from asker import Asker  # noqa: E402
from cluster import Cluster, ClusterError, Node  # noqa: E402
from drains import Drains  # noqa: E402
from handbook import Handbook  # noqa: E402
from kills import Kills  # noqa: E402
from prefixes import Prefixes  # noqa: E402
from show import Show, summary  # noqa: E402
from talk import Talk, follow_ups  # noqa: E402

HOLDERS = ("back", "side")  # each runs heavy, and holds half of its experts


class Demo:
    """One run over one cluster."""

    def __init__(self, cluster: Cluster, options: argparse.Namespace, questions: list[dict], show: Show) -> None:
        self.cluster, self.options, self.questions, self.show = cluster, options, questions, show
        self.front, self.back, self.side = cluster.nodes
        self.asker = Asker(cluster)
        self.talk = Talk(self.asker, show, self.back, options.seed)
        self.held: dict[str, int] = {}  # experts that are placed on each node

    def run(self, total: dict) -> None:
        """Everything; `total` gets what `--json` prints, as far as it comes."""
        total["nodes"] = self.take_inventory()
        total.update(self.ask_handbook())
        self.converse()
        self.drain(total)
        total.update(self.kill())
        total["remembered"] = self.talk.remembered
        total["same_bits"] = all([total["same_bits"], total["prefix"]["same_bits"], total["drain"]["same_bits"]])
        self.show.gap()

    def take_inventory(self) -> dict[str, dict]:
        """Who has what, once all nodes are joined and all experts are where they were placed."""
        nodes: dict[str, dict] = {}

        def placed() -> bool:
            nodes.update(self.cluster.status(self.front))
            if len(nodes) < len(self.cluster.nodes):
                return False
            shares = [views.experts_held(nodes[name]) for name in HOLDERS]
            all_held = min(shares) > 0 and sum(shares) == views.experts_of_all(nodes[HOLDERS[0]])
            return all_held and all(views.is_joined(node) for node in nodes.values())

        self.cluster.wait_until(f"the fabric joins all nodes, and {' and '.join(HOLDERS)} hold heavy's experts between them", placed)
        self.held = {name: views.experts_held(node) for name, node in nodes.items()}
        for node in self.cluster.nodes:
            self.show.line(node.name, views.inventory(nodes[node.name]))
        return {
            name: {"models": [replica["model"] for replica in node["replicas"]], "experts": self.held[name]}
            for name, node in nodes.items()
        }  # fmt: skip

    def ask_handbook(self) -> dict:
        """Questions, and the sums over them."""
        options, show = self.options, self.show
        questions = question_set.draw(self.questions, options.count, options.seed)
        alone = f" of {options.alone} alone" if options.alone else ""
        show.step(f"asking {len(questions)} of {len(self.questions)} questions{alone}, one after the other")
        show.gap()
        total = Handbook(self.asker, show, options.handbook, options.alone).ask_all(questions)
        show.step(summary(total))
        show.gap()
        return total

    def converse(self) -> None:
        """A conversation that is at home on the node that will be drained."""
        self.show.step(f"a conversation, at home on {self.back.name}")
        bundled = self.options.handbook == question_set.HANDBOOK
        self.talk.begin(follow_ups(bundled, self.questions, self.options.seed))
        self.show.gap()

    def drain(self, total: dict) -> None:
        """What one node holds goes to another: experts, conversations, a running answer, and KV blocks when they are of use."""
        show, back, side = self.show, self.back, self.side
        show.step(f"{back.name} is asked about a long text, and drained while it answers something else")
        prefixes = Prefixes(self.asker, show, self.options.handbook)
        prefixes.compute(back)
        drains = Drains(self.asker, show, back, self.options.seed)
        total["drain"] = drains.run()
        show.gap()
        show.step(f"the long text again: {back.name} takes no questions now, and {side.name} has not seen it")
        total["prefix"] = prefixes.fetch(side, back)
        show.gap()
        show.step("the conversation after that")
        self.talk.recall("What is my case number?", f"after {back.name} was drained")
        total["drain"]["experts_after_join"] = drains.join()
        show.gap()

    def kill(self) -> dict:
        """All nodes, one after the other."""
        show = self.show
        show.step("each node is killed in the middle of an answer, and started again, once each holds its experts alone")
        total = Kills(self.asker, show, self.questions, self.held).run()
        show.step("the conversation after that")
        self.talk.recall("Which case did I mention?", "after all nodes were killed")
        return total


def nodes_of(options: argparse.Namespace, folder: Path) -> list[Node]:
    """Front, back and side, not yet running; ClusterError if heavy's experts cannot be shared out."""
    placement = folder / "placement.toml"
    command = [str(options.troupe), "model", "placement", "heavy", *(word for name in HOLDERS for word in ("--node", name))]
    with placement.open("wb") as output:
        ran = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    if ran.returncode != 0:
        raise ClusterError(f"{' '.join(command)} ended with status {ran.returncode}: {ran.stderr.strip()}")
    corpus = ["--corpus", str(options.handbook)]
    front = Node(options.troupe, folder, "front", [*corpus, "--tier", "mini", "--tier", "medium"])
    heavy = [*corpus, "--tier", "heavy", "--placement", str(placement)]
    return [front, *(Node(options.troupe, folder, name, heavy, join=front) for name in HOLDERS)]


def chat(cluster: Cluster, conversation: str, show: Show) -> None:
    """Hands the terminal over, in the conversation that was begun."""
    show.step("now you: the same conversation; /help explains, Ctrl-D ends it and the nodes")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the chat, which has its own way with it
    subprocess.run([str(cluster.program), "chat", "--conversation", conversation, *cluster.connect()], check=False)


def run(options: argparse.Namespace, questions: list[dict], show: Show, folder: Path) -> dict:
    """The demo in a folder, and a chat if somebody sits there; returns what `--json` prints. Problems are in `show`."""
    show.step(f"starting node front (mini, medium), and nodes {' and '.join(HOLDERS)} (heavy, half of its experts each); their logs "
              f"are in {folder}")  # fmt: skip
    total: dict = {}
    try:
        with Cluster(nodes_of(options, folder)) as cluster:
            demo = Demo(cluster, options, questions, show)
            demo.run(total)
            show.step(f"done; {len(show.problems) or 'no'} problem{'' if len(show.problems) == 1 else 's'}")
            if sys.stdin.isatty() and sys.stdout.isatty() and not options.yes and not options.json:
                chat(cluster, demo.talk.conversation, show)
    except (ClusterError, OSError) as error:
        show.problems.append(str(error))
    return {**total, "problems": show.problems, "logs": str(folder) if show.problems else None}


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, as dev/demo checked it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--troupe", type=Path, required=True, help="the program")
    parser.add_argument("--questions", default="10", help="how many, or a file of JSON lines")
    parser.add_argument("--handbook", type=Path, default=question_set.HANDBOOK, help="a folder of Markdown, with questions.jsonl")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", choices=["mini", "medium", "heavy"], help="the only tier that answers the questions")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--yes", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """The exit status, as dev/demo explains it."""
    options = parse(arguments)
    number = re.fullmatch(r"[1-9][0-9]{0,8}", options.questions)
    file = options.handbook / "questions.jsonl" if number else Path(options.questions)
    show = Show(sys.stderr if options.json else sys.stdout)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda signum, _: sys.exit(128 + signum))
    try:
        questions = question_set.read_questions(file)
    except (OSError, ValueError) as error:
        print(f"dev/demo: {error}", file=sys.stderr)
        return 2
    options.count = int(options.questions) if number else len(questions)

    folder = Path(tempfile.mkdtemp(prefix="troupe-demo."))
    try:
        total = run(options, questions, show, folder)
    except (KeyboardInterrupt, SystemExit) as ending:
        shutil.rmtree(folder, ignore_errors=True)
        return ending.code if isinstance(ending, SystemExit) else 128 + signal.SIGINT
    for problem in show.problems:
        print(f"dev/demo: {problem}", file=sys.stderr)
    if show.problems:
        print(f"dev/demo: the logs are kept in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(total, ensure_ascii=False))
    return 1 if show.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

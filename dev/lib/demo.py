"""The demo once the program is built: two nodes, a handbook's questions, a conversation, and a node killed in mid-answer, twice.

`dev/demo` calls it and explains its options.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import question_set  # noqa: E402
from cluster import Cluster, ClusterError, Node  # noqa: E402

WIDTH = 118
LONG_ENOUGH = 20  # tokens of an answer that can be interrupted
KILLS_MAX = 5  # tries at hitting an answer in its middle
ASK_PATIENCE = 60.0
COUNTERS_EVERY = 1.0  # seconds; longer than nodes wait before they tell each other
# What a question counts for that was asked and not answered: it is wrong.
NOT_ANSWERED = {
    "answer": "", "citations": [], "tier": "none", "node": "none", "confidence": 0.0, "confident": False, "prompt_tokens": 0,
    "reused_tokens": 0, "generated_tokens": 0, "seconds": 0.0,
}  # fmt: skip


class Show:
    """What a person reads."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def step(self, text: str) -> None:
        """Something begins, or is done."""
        print(f"dev/demo: {text}", file=self.stream, flush=True)

    def line(self, label: str, text: str) -> None:
        """A labelled paragraph."""
        print(textwrap.fill(text, WIDTH, initial_indent=f"  {label:<10}", subsequent_indent=" " * 12), file=self.stream, flush=True)

    def gap(self) -> None:
        """An empty line."""
        print(file=self.stream, flush=True)


def computed_cost(status: dict) -> int:
    """Active parameters x tokens computed by all engines since they started."""
    return sum(
        replica["active_parameters"] * (replica["prompt_tokens"] - replica["reused_tokens"] + replica["generated_tokens"])
        for node in status["nodes"] for replica in node["replicas"]
    )  # fmt: skip


def about(answer: dict) -> str:
    """Who answered, how sure, how fast, and what the cache saved."""
    speed = answer["generated_tokens"] / answer["seconds"] if answer["seconds"] > 0 else 0.0
    return (
        f"{answer['tier']} on {answer['node']}, confidence {answer['confidence']:.2f}{'' if answer['confident'] else ' (low)'}, "
        f"{speed:.0f} tokens/s, {answer['reused_tokens']} of {answer['prompt_tokens']} prompt tokens reused"
    )


def why(turn: dict) -> str:
    """How the router came to the tier that answered."""
    tried = []
    for attempt in turn["attempts"][:-1]:
        plan, result = attempt["plan"], attempt["result"]
        tried.append(f"{plan['tier']} was sure to {result['confidence']:.2f}, below {plan['confidence_min']:.2f}")
    return "; ".join(tried) or "".join(a["plan"]["why"] for a in turn["attempts"])


def settled_cost(cluster: Cluster) -> int:
    """The same once it stands still: nodes tell each other about their work a moment later."""
    before, cost = -1, computed_cost(cluster.run("cluster", "status"))
    while cost != before:
        time.sleep(COUNTERS_EVERY)
        before, cost = cost, computed_cost(cluster.run("cluster", "status"))
    return cost


class Demo:
    """One run over one cluster."""

    def __init__(self, cluster: Cluster, options: argparse.Namespace, questions: list[dict], show: Show) -> None:
        self.cluster, self.options, self.questions, self.show = cluster, options, questions, show
        self.names, _ = question_set.read_sections(options.handbook)
        self.alone = ["--tier", options.alone] if options.alone else []

    def ask(self, question: str, *more: str) -> dict:
        """One answer; ClusterError if there is none."""
        answer = self.cluster.run("ask", *more, "-", given=question)
        if "error" in answer:
            raise ClusterError(f"\"{question}\" was not answered: {answer['error']['message']} ({answer['error']['code']})")
        return answer

    def ask_handbook(self) -> dict:
        """The questions one after the other, each judged; returns the sums."""
        asked = question_set.draw(self.questions, self.options.count, self.options.seed)
        before = settled_cost(self.cluster)
        began = time.monotonic()
        rows = [self.ask_one(question, number, len(asked)) for number, question in enumerate(asked, 1)]
        seconds = time.monotonic() - began
        prompt = sum(row["prompt_tokens"] for row in rows)
        return {
            "asked": len(rows), "correct": sum(row["right"] for row in rows), "escalated": sum(row["attempts"] > 1 for row in rows),
            "reuse_fraction": round(sum(row["reused_tokens"] for row in rows) / prompt, 4) if prompt else 0.0,
            "found": sum(row["found"] for row in rows), "correct_of_found": sum(row["right"] and row["found"] for row in rows),
            "tiers": dict(Counter(row["tier"] for row in rows)), "cost": sum(row["cost"] for row in rows),
            "cost_with_classification": settled_cost(self.cluster) - before,
            "generated_tokens": sum(row["generated_tokens"] for row in rows), "prompt_tokens": prompt,
            "engine_seconds": round(sum(row["seconds"] for row in rows), 3), "wall_seconds": round(seconds, 3), "answers": rows,
        }  # fmt: skip

    def ask_one(self, question: dict, number: int, of: int) -> dict:
        """One question of the set: asked, judged and shown."""
        answer = self.cluster.run("ask", *self.alone, "-", given=question["question"])
        turn = self.cluster.run("explain", answer["turn"])
        if "error" in answer:
            answer = {**NOT_ANSWERED, **answer, "text": f"not answered: {answer['error']['message']} ({answer['error']['code']})"}
        passages = {passage["section"] for attempt in turn["attempts"][-1:] for passage in attempt["plan"]["passages"]}
        found = set(question["sections"]) <= passages
        right = question_set.right(question, answer["answer"], {citation["section"] for citation in answer["citations"]})
        show = self.show
        kind = f"{question['id']}, {question['difficulty']}" if "difficulty" in question else question["id"]
        show.line(f"{number}/{of}", f"{question['question']}  ({kind})")
        show.line("right" if right else "WRONG", answer["text"])
        if not right:
            expected = " ".join([question["answer"]] + [f"[{self.names.get(section, section)}]" for section in question["sections"]])
            show.line("", f"expected: {expected}")
        if not found:
            missed = ", ".join(self.names.get(section, section) for section in question["sections"] if section not in passages)
            show.line("", f"the search did not find {missed}")
        show.line("by", about(answer))
        show.line("because", why(turn))
        show.gap()
        return {
            "id": question["id"], "right": right, "found": found, "text": answer["text"], "tier": answer["tier"], "node": answer["node"],
            "confidence": answer["confidence"], "attempts": len(answer["attempts"]),
            "cost": sum(attempt["result"]["cost"] for attempt in turn["attempts"] if "result" in attempt),
            **{key: answer[key] for key in ("prompt_tokens", "reused_tokens", "generated_tokens", "seconds")},
        }  # fmt: skip

    def say(self, text: str, conversation: str | None = None) -> dict:
        """One turn of the conversation, shown."""
        answer = self.ask(text, *(["--conversation", conversation] if conversation else []))
        self.show.line("you", text)
        self.show.line("troupe", f"{answer['text']}  ({answer['tier']} on {answer['node']})")
        return answer

    def converse(self) -> tuple[str, str, bool]:
        """States something, asks the handbook, and asks for both again. Returns the conversation, what was stated, and whether it
        was remembered."""
        case = str(random.Random(self.options.seed).randrange(10000, 100000))
        conversation = self.say(f"I have case {case} open.")["conversation"]
        for question in self.follow_ups():
            self.say(question, conversation)
        remembered = case in self.say("What is my case number?", conversation)["answer"]
        self.show.gap()
        return conversation, case, remembered

    def follow_ups(self) -> list[str]:
        """A question and one that cannot be understood without it."""
        if self.options.handbook == question_set.HANDBOOK:
            return ["Which classification do donor files carry?", "And how long are they kept?"]
        question = random.Random(self.options.seed).choice(self.questions)["question"]
        return [question, f"Remind me: {question}"]

    def tokens(self, turn: str) -> list[tuple[list[int], list[float]]]:
        """Token ids and log-probabilities of each attempt."""
        attempts = self.cluster.run("explain", "--tokens", turn)["attempts"]
        return [
            ([i for e in a["result"].get("emissions", []) for i in e["ids"]],
             [p for e in a["result"].get("emissions", []) for p in e["log_probabilities"]])
            for a in attempts
        ]  # fmt: skip

    def long_question(self) -> tuple[str, dict]:
        """A question whose answer is long enough to be interrupted, and its undisturbed answer."""
        candidates = sorted(self.questions, key=lambda q: (q.get("difficulty") != "compare", -len(q["answer"])))
        best: tuple[str, dict] | None = None
        for question in candidates[:10]:
            answer = self.ask(question["question"], "--assurance", "draft", "--tier", "heavy")
            if best is None or answer["generated_tokens"] > best[1]["generated_tokens"]:
                best = (question["question"], answer)
            if answer["generated_tokens"] >= LONG_ENOUGH:
                break
        assert best is not None
        return best

    def kill_in_mid_answer(self, victim: Node, question: str, whole: dict) -> tuple[bool, bool]:
        """Kills the node at the first words of the answer, starts it again and reads on. Returns whether the answer was under way,
        and whether it has the bits of the undisturbed one."""
        command = [str(self.cluster.troupe), "ask", "--assurance", "draft", "--tier", "heavy"]
        command += [*self.cluster.connect(victim), "--", question]
        asking = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert asking.stdout is not None and asking.stderr is not None
        try:
            shown = os.read(asking.stdout.fileno(), 4096)
            victim.kill()
            killed = time.monotonic()
            os.set_blocking(asking.stdout.fileno(), False)
            shown += asking.stdout.read() or b""  # what was on its way
            os.set_blocking(asking.stdout.fileno(), True)
            victim.start()
            rest, said = asking.communicate(timeout=ASK_PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"the answer was not finished {ASK_PATIENCE:.0f} s after node {victim.name} was killed") from error
        finally:
            asking.kill()
        turn = re.search(r"^turn (\S+)$", said.decode(), re.MULTILINE)
        if asking.returncode != 0 or turn is None:
            raise ClusterError(f"after node {victim.name} was killed: {said.decode().strip()}")
        under_way = len(shown.decode(errors="ignore")) < len(whole["answer"])
        same = self.tokens(turn[1]) == self.tokens(whole["turn"]) and (shown + rest).decode().startswith(whole["answer"] + "\n")
        if under_way:
            self.show.line("kill -9", f"node {victim.name}, after \"{shown.decode(errors='replace').strip()}\"")
            self.show.line("", (shown + rest).decode().strip().splitlines()[0])
            self.show.line("same bits" if same else "DIFFERENT", f"the answer ended {time.monotonic() - killed:.1f} s after the kill")
        return under_way, same

    def survive(self) -> dict:
        """Kills each node in turn in the middle of an answer."""
        question, whole = self.long_question()
        self.show.line("heavy", question)
        self.show.line("", whole["text"])
        same, interrupted = [], 0
        for victim in self.cluster.nodes:
            for _ in range(KILLS_MAX):
                under_way, equal = self.kill_in_mid_answer(victim, question, whole)
                same.append(equal)
                self.cluster.wait_until_serving()
                if under_way:
                    interrupted += 1
                    break
        if interrupted < len(self.cluster.nodes):
            self.show.line("", "an answer ended before its node was killed each time: too short, or the machine too busy")
        self.show.gap()
        return {"same_bits": all(same), "interrupted": interrupted, "kills": len(same)}

    def run(self) -> tuple[dict, str]:
        """Everything; returns the sums and the conversation."""
        show = self.show
        total = self.ask_handbook()
        show.step(summary(total))
        show.gap()
        show.step("a conversation")
        conversation, case, remembered = self.converse()
        show.step("each node is killed in the middle of an answer, and started again")
        total.update(self.survive())
        show.step("the conversation after that")
        remembered = case in self.say("Which case did I mention?", conversation)["answer"] and remembered
        show.gap()
        show.step(f"{'remembered' if remembered else 'NOT remembered'}; the interrupted answers "
                  f"{'have the same bits as' if total['same_bits'] else 'DIFFER from'} the undisturbed one")  # fmt: skip
        total["remembered"] = remembered
        return total, conversation


def summary(total: dict) -> str:
    """The sums for a person."""
    tiers = ", ".join(f"{tier} {total['tiers'][tier]}" for tier in ("mini", "medium", "heavy", "none") if tier in total["tiers"])
    return (
        f"{total['correct']} of {total['asked']} right ({total['correct_of_found']} of the {total['found']} for which the search had found "
        f"the sections); answered by {tiers}; {total['escalated']} escalated; {total['reuse_fraction']:.0%} of prompt tokens reused; "
        f"{total['cost'] / 1e9:.1f} G parameters x tokens; {total['wall_seconds']:.1f} s"
    )


def chat(cluster: Cluster, conversation: str, show: Show) -> None:
    """Hands the terminal over, in the conversation that was begun."""
    show.step("now you: the same conversation; /help explains, Ctrl-D ends it and the nodes")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the chat, which has its own way with it
    subprocess.run([str(cluster.troupe), "chat", "--conversation", conversation, *cluster.connect()], check=False)


def main(arguments: list[str]) -> int:
    """Command line, as dev/demo checked it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--troupe", type=Path, required=True, help="the program")
    parser.add_argument("--questions", default="10", help="how many, or a file of JSON lines")
    parser.add_argument("--handbook", type=Path, default=question_set.HANDBOOK, help="a folder of Markdown, with questions.jsonl")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", choices=["mini", "medium", "heavy"], help="the only tier that answers the questions")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--yes", action="store_true")
    options = parser.parse_args(arguments)
    number = re.fullmatch(r"[1-9][0-9]{0,8}", options.questions)
    file = options.handbook / "questions.jsonl" if number else Path(options.questions)
    show = Show(sys.stderr if options.json else sys.stdout)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        questions = question_set.read_questions(file)
    except (OSError, ValueError) as error:
        print(f"dev/demo: {error}", file=sys.stderr)
        return 2
    options.count = int(options.questions) if number else len(questions)

    folder = Path(tempfile.mkdtemp(prefix="troupe-demo."))
    front = Node(options.troupe, folder, "front", ["mini"], options.handbook)
    back = Node(options.troupe, folder, "back", ["medium", "heavy"], options.handbook, join=front)
    keep = False
    try:
        show.step(f"starting node front (mini) and node back (medium, heavy); their logs are {front.log} and {back.log}")
        with Cluster([front, back]) as cluster:
            asked = min(options.count, len(questions))
            alone = f" of {options.alone} alone" if options.alone else ""
            show.step(f"both serve; asking {asked} of {len(questions)} questions{alone}, one after the other")
            show.gap()
            total, conversation = Demo(cluster, options, questions, show).run()
            if sys.stdin.isatty() and sys.stdout.isatty() and not options.yes and not options.json:
                chat(cluster, conversation, show)
    except ClusterError as error:
        print(f"dev/demo: {error}", file=sys.stderr)
        keep = True
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(total, ensure_ascii=False))
    return 0 if total["remembered"] and total["same_bits"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

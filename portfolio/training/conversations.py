"""Writes conversations of any length, with questions about what was said: the form of `../eval/dialogues.jsonl`, for `troupe eval`.

    conversations.py --out FILE --seed N [--count N] [--exchanges N] [--ask N,N,...] [--probes N]

Needs nothing but Python. Every probe says after which exchange it is asked (`asked`) and in which exchange its answer was last said
(`since`, both from 1 on); half of them are about the first third of what came before. A summary here leaves nothing out, unlike
those that the models were trained to write, which keep the newest twenty answers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

import dialogue
from world import World

ASKED = (10, 20, 30, 100, 300)
KINDS = ["profile", "profile", "answer", "answer", "answer", "decision", "open"]


def since(d: dialogue.Dialogue, recall: dialogue.Recall, asked: int) -> int:
    """The exchange, of the first `asked`, that last said what a probe is about; 0 if none did."""
    where = recall.answer[recall.answer.rindex("[") :].rstrip(".") if recall.kind == "answer" else ""
    said = [i + 1 for i, e in enumerate(d.exchanges[:asked]) if recall.key in f"{e.user} {e.assistant}" and where in e.assistant]
    return said[-1] if said else 0


def probes(d: dialogue.Dialogue, asked: int, count: int) -> list[dict]:
    """Questions about different things, to be asked after exchange `asked`."""
    found: list[dict] = []
    seen: set[str] = set()
    for share in (0.5, 1.0):  # first what was said early, then anything
        for _ in range(30 * count):
            recall = d.recall(d.states[asked], d.rng.choice(KINDS))
            last = since(d, recall, asked)
            if len(found) >= share * count:
                break
            if recall.kind == "unknown" or recall.key in seen or last == 0 or (share < 1 and 3 * last > asked):
                continue
            seen.add(recall.key)
            found.append({"question": recall.question, "answer": recall.answer, "values": [recall.key], "kind": recall.kind, "asked": asked, "since": last})
    return found


def rows(seed: int, count: int, exchanges: int, asked: list[int], each: int) -> list[dict]:
    """Conversations, each with its questions."""
    rng = Random(seed)
    dialogue.MAX_ANSWERS = exchanges  # what a probe may be about
    made = []
    for i in range(count):
        d = dialogue.Dialogue(World(rng)).extend(exchanges)
        turns = [{"role": role, "content": text} for e in d.exchanges for role, text in (("user", e.user), ("assistant", e.assistant))]
        questions = [p for n in asked if n <= exchanges for p in probes(d, n, each)]
        made.append({"id": f"conversation-{i + 1:02d}", "turns": turns, "summary": d.memory.summary(), "facts": d.memory.items(), "probes": questions})
    return made


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--exchanges", type=int, default=30)
    parser.add_argument("--ask", default=",".join(map(str, ASKED)), help="after which exchanges")
    parser.add_argument("--probes", type=int, default=8, help="at each of these")
    args = parser.parse_args()
    with args.out.open("w") as file:
        for row in rows(args.seed, args.count, args.exchanges, [int(n) for n in args.ask.split(",")], args.probes):
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

"""Measures how sure a model has to be of "out_of_scope" before a question is refused.

    calibrate_intent.py TROUPE [TIER]

TROUPE is the program, which names the kinds of utterances that are generated for this purpose (intents.py), and of questions about
generated handbooks (handbook.py), each with words and sentence patterns of training and with such that no training had. Printed are,
for each threshold, how many of the utterances out of scope would be refused, and how many questions would be that are in scope. None of
the seeds is one of training or evaluation, and no intents of CLINC150 are among the utterances.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import handbook
import intents
from chat import PROMPTS
from world import World

UTTERANCES, HANDBOOKS = range(7000, 7040), range(7100, 7130)  # seeds
PER_WORLD, PER_HANDBOOK = 75, 100
THRESHOLDS = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]


def utterances(holdout: bool) -> list[tuple[str, str]]:
    """Utterances and their kinds."""
    worlds = [World(Random(seed * 2 + holdout), holdout=holdout) for seed in UTTERANCES]
    return [intents.utterance(world, []) for world in worlds for _ in range(PER_WORLD)]


def questions(holdout: bool) -> list[tuple[str, str]]:
    """Questions about handbooks, which are all in scope; that their label is right is not looked at."""
    found = []
    for seed in HANDBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            handbook.write(Path(folder), seed, PER_HANDBOOK, holdout)
            lines = (Path(folder) / "questions.jsonl").read_text().splitlines()
        found += [(json.loads(line)["question"], "lookup") for line in lines]
    return found


def named(troupe: str, tier: str, rows: list[tuple[str, str]]) -> list[dict]:
    """What the model says of each."""
    with tempfile.TemporaryDirectory() as folder:
        file, answers = Path(folder) / "rows.jsonl", Path(folder) / "answers.jsonl"
        with file.open("w") as out:
            for i, (text, label) in enumerate(rows):
                messages = [{"role": "system", "content": PROMPTS["classify"]}, {"role": "user", "content": text}]
                out.write(json.dumps({"id": str(i), "messages": messages, "answer": label}) + "\n")
        subprocess.run([troupe, "eval", str(file), "--tiers", tier, "--answers", str(answers)], stdout=subprocess.DEVNULL, check=True)
        return [json.loads(line) for line in answers.read_text().splitlines()]


def main(troupe: str, tier: str = "mini") -> None:
    """Prints a table for each kind of rows."""
    for name, rows in [("utterances", utterances), ("questions about handbooks", questions)]:
        for holdout in (False, True):
            said = named(troupe, tier, rows(holdout))
            outside = [row for row in said if row["label"] == "out_of_scope"]
            inside = [row for row in said if row["label"] != "out_of_scope"]
            print(f"{name}, {'held-out patterns' if holdout else 'patterns of training'}: {len(outside)} out of scope, {len(inside)} in scope")
            for least in THRESHOLDS:
                refused = lambda group: sum(row["said"] == "out_of_scope" and row["confidence"] >= least for row in group)  # noqa: E731
                share = f"{100 * refused(outside) / len(outside):5.1f} % of these and " if outside else ""
                print(f"  from {least:5.3f} on: {share}{refused(inside)} of those are refused")


if __name__ == "__main__":
    main(*sys.argv[1:])

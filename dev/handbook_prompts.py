#!/usr/bin/env python3
"""The demo's questions about the bundled handbook: asks them as a model was trained to be asked, and judges what it answers.

    handbook_prompts.py ask   [--questions N] [--seed S]           writes what `troupe generate --input FILE --json` reads
    handbook_prompts.py judge --asked FILE [--model NAME] [--json] reads from stdin what it writes

A question comes with the sections that a keyword search finds for it, right or wrong, as numbered sources. An answer is right
if it is, word for word, the one in questions.jsonl and cites exactly the sections given there: the measure of
portfolio/training/evaluate.py.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import textwrap
from pathlib import Path
from typing import Iterable, TextIO

ROOT = Path(__file__).resolve().parent.parent
HANDBOOK = ROOT / "portfolio" / "handbook"
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "portfolio" / "training"))
import chat  # noqa: E402  the prompts that the models know
import retrieve  # noqa: E402

SOURCES = 5  # as many as the models were trained and measured with
ANSWERED = ("end_token", "stop_token", "stop_string", "length")
WIDTH = 110


def read_sections(directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Names ("Access Rules §2.1") and texts of the sections of Markdown documents, by their ids ("access-rules#2.1")."""
    names: dict[str, str] = {}
    texts: dict[str, str] = {}
    for path in sorted(directory.glob("*.md")):
        title, *lines = path.read_text(encoding="utf-8").splitlines()
        section = ""
        for line in lines:
            heading = re.match(r"### §(\S+) ", line)
            if heading:
                section = f"{path.stem}#{heading[1]}"
                names[section] = f"{title.lstrip('# ')} §{heading[1]}"
                texts[section] = ""
            elif section and line and not line.startswith("#"):
                texts[section] = (texts[section] + " " + line).strip()
    return names, texts


def ask(directory: Path, count: int | None = None, seed: int = 1) -> list[dict]:
    """`count` questions drawn with `seed`, or all in their order, as lines for `troupe generate --input`. Besides "id" and
    "messages" a line has what `judge` needs: the question, its answer, the sections to cite, and the sources in order."""
    names, texts = read_sections(directory)
    index = retrieve.Index({section: f"{name} {texts[section]}" for section, name in names.items()})
    questions = [json.loads(line) for line in (directory / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    if count is not None:
        questions = random.Random(seed).sample(questions, min(count, len(questions)))
    asked = []
    for question in questions:
        found = index.search(question["question"], SOURCES)
        sources = "\n".join(f"[{i + 1}] {names[section]}: {texts[section]}" for i, section in enumerate(found))
        messages = [chat.system("answer"), chat.user(chat.with_sources(sources, question["question"]))]
        asked.append({
            "id": question["id"], "messages": [{"role": m.role, "content": m.content} for m in messages],
            "question": question["question"], "answer": question["answer"], "difficulty": question["difficulty"],
            "sections": {section: names[section] for section in question["sections"]},
            "sources": {section: names[section] for section in found},
        })  # fmt: skip
    return asked


def line_of(row: dict) -> str:
    """A line of a JSON Lines file."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def verdict(asked: dict, text: str) -> dict:
    """What an answer cites, whether it is right, and whether the search had found what it needs."""
    sources = list(asked["sources"])
    numbers = sorted({int(n) for n in re.findall(r"\[(\d+)\]", text)})
    cited = [sources[n - 1] for n in numbers if 1 <= n <= len(sources)]
    words = re.sub(r" ?\[\d+\]", "", text).strip()
    return {
        "cited": cited,
        "right": words == asked["answer"] and set(cited) == set(asked["sections"]),
        "found": set(asked["sections"]) <= set(sources),
    }


def resolved(asked: dict, text: str) -> str:
    """An answer whose citations name sections instead of sources."""
    names = list(asked["sources"].values())

    def name(match: re.Match[str]) -> str:
        number = int(match[1])
        return f"[{names[number - 1]}]" if 1 <= number <= len(names) else match[0]

    return re.sub(r"\[(\d+)\]", name, text)


def show(asked: dict, answer: dict, judged: dict) -> None:
    """One question and its answer, for a person."""

    def line(label: str, text: str) -> None:
        print(textwrap.fill(text, WIDTH, initial_indent=f"  {label:<9}", subsequent_indent=" " * 11))

    print(f"{asked['id']}  {asked['difficulty']}")
    line("question", asked["question"])
    line("answer", resolved(asked, answer["text"].strip()))
    if judged["right"]:
        line("", "right")
    else:
        line("wrong", f"expected: {asked['answer']} {' '.join(f'[{name}]' for name in asked['sections'].values())}")
    if not judged["found"]:
        missed = [name for section, name in asked["sections"].items() if section not in asked["sources"]]
        line("", f"the keyword search did not find {', '.join(missed)}")
    print(flush=True)


def judge(asked: list[dict], lines: Iterable[str], model: str, as_json: bool) -> dict:
    """Reads answers as they come, shows each, and returns the sum. ValueError if an answer is missing or failed."""
    by_id = {row["id"]: row for row in asked}
    rows = []
    for line in lines:
        answer = json.loads(line)
        if answer["finish_reason"] not in ANSWERED:
            raise ValueError(f"question {answer['id']} was not answered: {answer['finish_reason']} {answer.get('error', '')}")
        row = by_id.pop(answer["id"])
        judged = verdict(row, answer["text"])
        if not as_json:
            show(row, answer, judged)
        rows.append({"id": row["id"], "difficulty": row["difficulty"], "text": resolved(row, answer["text"].strip()), **judged,
                     **{key: answer[key] for key in ("prompt_tokens", "reused_tokens", "generated_tokens", "seconds")}})  # fmt: skip
    if by_id:
        raise ValueError(f"{len(by_id)} of {len(asked)} questions got no answer")
    # They are answered together, so the longest wait of one is the time of all.
    seconds = max((row["seconds"] for row in rows), default=0.0)
    generated = sum(row["generated_tokens"] for row in rows)
    return {
        "model": model, "questions": len(rows), "right": sum(row["right"] for row in rows), "found": sum(row["found"] for row in rows),
        "right_of_found": sum(row["right"] and row["found"] for row in rows), "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "reused_tokens": sum(row["reused_tokens"] for row in rows), "generated_tokens": generated, "seconds": seconds,
        "generated_tokens_per_second": generated / seconds if seconds > 0 else 0.0, "answers": rows,
    }  # fmt: skip


def summary(total: dict) -> str:
    """The sum for a person."""
    return (
        f"{total['model']}: {total['right']} of {total['questions']} right; the search had found the sections of {total['found']}, "
        f"{total['right_of_found']} of them right\n"
        f"{total['prompt_tokens']} prompt tokens ({total['reused_tokens']} of them reused) and {total['generated_tokens']} generated ones "
        f"in {total['seconds']:.2f} s: {total['generated_tokens_per_second']:.0f} generated a second"
    )


def main(arguments: list[str], answers: TextIO) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    asking = commands.add_parser("ask", help="write prompts as JSON lines")
    asking.add_argument("--questions", type=int, help="how many (default: all)")
    asking.add_argument("--seed", type=int, default=1, help="which (default: 1)")
    judging = commands.add_parser("judge", help="judge answers from stdin")
    judging.add_argument("--asked", type=Path, required=True, help="what `ask` wrote")
    judging.add_argument("--model", default="the model", help="its name, for the summary")
    judging.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    if options.command == "ask":
        if options.questions is not None and options.questions < 1:
            parser.error(f"--questions is {options.questions}, expected at least 1")
        for row in ask(HANDBOOK, options.questions, options.seed):
            sys.stdout.write(line_of(row))
        return 0
    asked = [json.loads(line) for line in options.asked.read_text(encoding="utf-8").splitlines()]
    try:
        total = judge(asked, answers, options.model, options.json)
    except ValueError as error:
        print(f"handbook_prompts.py: {error}", file=sys.stderr)
        return 1
    print(json.dumps(total, ensure_ascii=False) if options.json else summary(total))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin))

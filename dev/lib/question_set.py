"""Sets of questions about a handbook: how they are read and drawn, and when an answer is right.

A set is a folder of Markdown and a file of JSON lines like portfolio/handbook/questions.jsonl. An answer is right if it is, word
for word and but for its citations, the one of the set, and cites exactly the sections given there: the measure of
portfolio/training/evaluate.py.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = ROOT / "portfolio" / "handbook"
FILE_BYTES_MAX = 16 << 20
KEYS = {"id": str, "question": str, "answer": str, "sections": list}


def read_sections(directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Names ("Access Rules §2.1") and texts of the sections of Markdown documents, by their ids ("access-rules#2.1")."""
    names: dict[str, str] = {}
    texts: dict[str, str] = {}
    for path in sorted(directory.glob("*.md")):
        title, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
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


def read_questions(file: Path) -> list[dict]:
    """The questions of a set in their order. ValueError names the line that is not one."""
    if file.stat().st_size > FILE_BYTES_MAX:
        raise ValueError(f"{file} has {file.stat().st_size} bytes, expected at most {FILE_BYTES_MAX}")
    questions: list[dict] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{file}:{number}: not valid JSON: {error}") from error
        for key, kind in KEYS.items():
            if not isinstance(row, dict) or not isinstance(row.get(key), kind):
                raise ValueError(f'{file}:{number}: expected an object in which "{key}" is a {kind.__name__}')
        if not all(isinstance(section, str) for section in row["sections"]):
            raise ValueError(f'{file}:{number}: "sections" holds something that is not a string')
        questions.append(row)
    if not questions:
        raise ValueError(f"{file} has no questions; expected JSON lines like {HANDBOOK / 'questions.jsonl'}")
    return questions


def draw(questions: list[dict], count: int, seed: int) -> list[dict]:
    """`count` of them, or all if there are fewer, in an order that the seed decides."""
    return random.Random(seed).sample(questions, min(count, len(questions)))


def right(question: dict, answer: str, cited: set[str]) -> bool:
    """Whether an answer with numbered citations, to sections with these ids, is the one that the set wants."""
    return re.sub(r" ?\[\d+\]", "", answer).strip() == question["answer"] and cited == set(question["sections"])

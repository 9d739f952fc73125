"""Calibrates the confidence of retrieval, and draws how well it holds.

    calibrate_retrieval.py fit  TROUPE             prints the constants of policy/retrieval.cpp
    calibrate_retrieval.py draw TROUPE FILE.svg    draws the reliability diagram of the program as it is

TROUPE is the program; it searches handbooks that are generated for this purpose (handbook.py), none of which is the bundled one.
The weights are fitted on one half of the handbooks for fitting, the table that makes probabilities of scores on the other half. The
diagram is drawn from handbooks of other seeds, and from such with words and sentence patterns that no other handbook has.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import handbook

QUESTIONS = 120  # about each handbook
SECTIONS = 8  # that are searched for, as in the default policy
FITTED, DRAWN, HELD_OUT = range(1100, 1160), range(1200, 1230), range(1300, 1330)  # seeds
EDGES = [-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0]  # of scores, between the points of the table
FEWEST = 30  # searches that a point stands for
NAMES = ["1", "best_covers", "unknown", "pairs", "lead", "bridge", "best_covers * bridge"]


class Search(NamedTuple):
    """What a search showed of itself, and whether it found all that the answer needs; never if that is not in the handbook."""

    features: list[float]
    confidence: float
    complete: bool


def searches(troupe: str, seed: int, holdout: bool) -> list[Search]:
    """All questions about one handbook that has lost a document, so that some are about nothing in it."""
    with tempfile.TemporaryDirectory() as folder:
        handbook.write(Path(folder), seed, QUESTIONS, holdout)
        documents = sorted(Path(folder).glob("*.md"))
        documents[seed % len(documents)].unlink()
        command = [troupe, "corpus", "search", "--documents", folder, "--input", f"{folder}/questions.jsonl", "--limit", str(SECTIONS), "--json"]
        lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    found = []
    for line in lines:
        row = json.loads(line)
        e = row["evidence"]
        features = [1.0, e["best_covers"], e["unknown"], e["pairs"], e["lead"], e["bridge"], e["best_covers"] * e["bridge"]]
        found.append(Search(features, row["confidence"], bool(row["needed"]) and row["complete"]))
    return found


def score(weights: list[float], features: list[float]) -> float:
    """The logarithm of the odds, as far as they are linear."""
    return sum(w * f for w, f in zip(weights, features))


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination with pivots."""
    rows = [row + [value] for row, value in zip(matrix, right)]
    for i in range(len(rows)):
        best = max(range(i, len(rows)), key=lambda j: abs(rows[j][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for j in range(i + 1, len(rows)):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i])]
    result = [0.0] * len(rows)
    for i in reversed(range(len(rows))):
        result[i] = (rows[i][-1] - sum(rows[i][j] * result[j] for j in range(i + 1, len(rows)))) / rows[i][i]
    return result


def fit_weights(found: list[Search], ridge: float = 0.1) -> list[float]:
    """Logistic regression by Newton's method."""
    count = len(NAMES)
    weights = [0.0] * count
    for _ in range(30):
        gradient = [ridge * w for w in weights]
        hessian = [[ridge if i == j else 0.0 for j in range(count)] for i in range(count)]
        for each in found:
            p = 1 / (1 + math.exp(-score(weights, each.features)))
            for i, f in enumerate(each.features):
                gradient[i] += (p - each.complete) * f
                for j, g in enumerate(each.features):
                    hessian[i][j] += p * (1 - p) * f * g
        weights = [w - s for w, s in zip(weights, solve(hessian, gradient))]
    return weights


def fit_table(found: list[Search], weights: list[float]) -> list[tuple[float, float]]:
    """Isotonic regression over bins of scores: each point is the mean score of a bin and the share of its searches that are complete."""
    scored = sorted((score(weights, each.features), each.complete) for each in found)
    blocks: list[list[tuple[float, bool]]] = [[]]
    for value, complete in scored:
        if len(blocks[-1]) >= FEWEST and any(blocks[-1][-1][0] < edge <= value for edge in EDGES):
            blocks.append([])
        blocks[-1].append((value, complete))
    share = lambda block: sum(c for _, c in block) / len(block)  # noqa: E731
    i = 0
    while i + 1 < len(blocks):
        if share(blocks[i]) > share(blocks[i + 1]):
            blocks[i : i + 2] = [blocks[i] + blocks[i + 1]]
            i = max(0, i - 1)
        else:
            i += 1
    return [(sum(v for v, _ in block) / len(block), share(block)) for block in blocks]


def fit(troupe: str) -> None:
    """Prints the constants."""
    halves: list[list[Search]] = [[], []]
    for seed in FITTED:
        halves[seed % 2] += searches(troupe, seed, False)
    weights = fit_weights(halves[0])
    print("weights:", ", ".join(f"{name}: {w:.2f}" for name, w in zip(NAMES, weights)))
    weights = [round(w, 2) for w in weights]
    points = ", ".join(f"Point{{{value:.2f}, {share:.3f}}}" for value, share in fit_table(halves[1], weights))
    print("calibration:", points)


# The diagram.

WIDTH, HEIGHT, LEFT, TOP, SIDE = 640, 470, 60, 40, 360
COLOURS = {"other seeds": "#1f77b4", "other words and sentences": "#d95f02"}


def bins(found: list[Search]) -> list[tuple[float, float, int]]:
    """Mean confidence, share complete and count of each tenth of confidences."""
    result = []
    for i in range(10):
        inside = [s for s in found if i / 10 <= s.confidence < (i + 1) / 10 or (i == 9 and s.confidence == 1)]
        if inside:
            result.append((sum(s.confidence for s in inside) / len(inside), sum(s.complete for s in inside) / len(inside), len(inside)))
    return result


def auroc(found: list[Search]) -> float:
    """The probability that a complete search has more confidence than one that is not."""
    right = [s.confidence for s in found if s.complete]
    wrong = [s.confidence for s in found if not s.complete]
    return sum((r > w) + 0.5 * (r == w) for r in right for w in wrong) / (len(right) * len(wrong))


def diagram(sets: dict[str, list[Search]]) -> str:
    """The reliability diagram as SVG."""
    x = lambda value: LEFT + SIDE * value  # noqa: E731
    y = lambda value: TOP + SIDE * (1 - value)  # noqa: E731
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>',
             f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="#888" stroke-dasharray="4 4"/>',
             f'<line x1="{x(0.6):.0f}" y1="{y(0)}" x2="{x(0.6):.0f}" y2="{y(1)}" stroke="#ccc"/>',
             f'<text x="{x(0.6) + 4:.0f}" y="{y(0) - 6}" fill="#888">below 0.6: a stronger tier</text>']  # fmt: skip
    for i in range(6):
        value = i / 5
        lines += [f'<text x="{x(value):.0f}" y="{y(0) + 18}" text-anchor="middle">{value:.1f}</text>',
                  f'<text x="{x(0) - 8}" y="{y(value) + 4:.0f}" text-anchor="end">{value:.1f}</text>']  # fmt: skip
    lines += [f'<text x="{x(0.5)}" y="{y(0) + 40}" text-anchor="middle">confidence of retrieval</text>',
              f'<text transform="translate(18 {y(0.5)}) rotate(-90)" text-anchor="middle">share that found all that the answer needs</text>',
              f'<text x="{LEFT}" y="{TOP - 14}" font-size="15">Reliability of the confidence of retrieval</text>']  # fmt: skip
    at = TOP + 12
    for name, found in sets.items():
        points = bins(found)
        error = sum(n * abs(c - s) for c, s, n in points) / len(found)
        lines.append(f'<polyline fill="none" stroke="{COLOURS[name]}" points="{" ".join(f"{x(c):.1f},{y(s):.1f}" for c, s, _ in points)}"/>')
        for confidence, share, count in points:
            radius = 2 + 5 * math.sqrt(count / max(n for _, _, n in points))
            lines.append(f'<circle cx="{x(confidence):.1f}" cy="{y(share):.1f}" r="{radius:.1f}" fill="{COLOURS[name]}" fill-opacity="0.75"/>')
        about = [name, f"{len(found)} questions", f"calibration error {error:.3f}", f"AUROC {auroc(found):.3f}"]
        for i, text in enumerate(about):
            lines.append(f'<text x="{x(1) + 14}" y="{at}" fill="{COLOURS[name] if i == 0 else "#333"}">{text}</text>')
            at += 18
        at += 12
    return "\n".join([*lines, "</svg>"]) + "\n"


def draw(troupe: str, out: Path) -> None:
    """Writes the diagram, and prints what it shows."""
    sets = {"other seeds": [s for seed in DRAWN for s in searches(troupe, seed, False)],
            "other words and sentences": [s for seed in HELD_OUT for s in searches(troupe, seed, True)]}  # fmt: skip
    out.write_text(diagram(sets))
    for name, found in sets.items():
        print(f"{name}: {len(found)} questions, AUROC {auroc(found):.3f}")
        for confidence, share, count in bins(found):
            print(f"  confidence {confidence:.3f}: complete {share:.3f} of {count}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fit", "draw"])
    parser.add_argument("troupe")
    parser.add_argument("out", type=Path, nargs="?")
    args = parser.parse_args()
    if args.what == "fit":
        fit(args.troupe)
    elif args.out is None:
        parser.error("draw needs a file to write")
    else:
        draw(args.troupe, args.out)


if __name__ == "__main__":
    main()

"""What compute-sanitizer's racecheck says of the kernels' tests, and whether that can be a race.

usage: gpu_racecheck.py SANITIZER HANDOVERS TESTS FILTER LOG

Racecheck knows block barriers and what arrives at an mbarrier for itself. Where one thread of a warp arrives for all of it, or
says with a release what others await with an acquire, it sees a race, although PTX's memory model orders the two accesses.
HANDOVERS (tests/gpu/handovers.cu) has each such way by itself in a kernel of a few lines. A report about a kernel counts as one
only if the ways that the kernel uses are none of those that racecheck misjudges there.

Prints one JSON object: handovers (hazards by name), kernels (hazards by kernel), unexplained (kernels), status (0 if all is well).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

# Kernels, and the hand-overs that they use beside barriers at which each thread arrives for itself.
USED = {"whole_step": ("count", "copies-of-a-warp"), "few_rows_layer": ("one-of-a-warp",)}
RACE, NO_RACE = "nothing", "block-barrier"
HANDOVERS = (RACE, NO_RACE, "count", "one-of-a-warp", "copies-of-a-warp")
SECONDS = 240


def hazards(sanitizer: str, command: list[str], log: Path) -> tuple[Counter[str], int]:
    """How many hazards each kernel has, by name, and the program's own exit status."""
    try:
        run = subprocess.run(
            [sanitizer, "--tool", "racecheck", "--print-limit", "0", *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False,
        )
        output, status = run.stdout.decode(errors="replace"), run.returncode
    except subprocess.TimeoutExpired as late:
        output, status = (late.stdout or b"").decode(errors="replace") + f"\nended after {SECONDS} s\n", 124
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n{output}\n")
    found: Counter[str] = Counter()
    for line in output.splitlines():
        if "Race reported" in line:
            found[next((name for name in re.findall(r"(\w+)\s*[<(]", line.split(" access at ", 1)[-1])), "?")] += 1
    return found, status


def main() -> int:
    sanitizer, handovers, tests, chosen, log = sys.argv[1:]
    Path(log).write_text("", encoding="utf-8")
    by_handover: dict[str, int] = {}
    trouble = []
    for name in HANDOVERS:
        found, status = hazards(sanitizer, [handovers, name], Path(log))
        by_handover[name] = sum(found.values())
        if status:
            trouble.append(f"{name} ended with status {status}")
    if not by_handover[RACE] or by_handover[NO_RACE]:
        trouble.append(f"the tool finds {by_handover[RACE]} hazards in a race and {by_handover[NO_RACE]} without one")
    kernels, status = hazards(sanitizer, [tests, f"--gtest_filter={chosen}", "--gtest_brief=1"], Path(log))
    if status:
        trouble.append(f"the tests ended with status {status}")
    unexplained = [name for name in kernels if not any(by_handover[way] for way in USED.get(name, ()))]
    trouble += [f"hazards in {name}" for name in unexplained]
    print(json.dumps({"handovers": by_handover, "kernels": kernels, "unexplained": unexplained, "trouble": trouble,
                      "status": 1 if trouble else 0}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

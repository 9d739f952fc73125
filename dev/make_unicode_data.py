#!/usr/bin/env python3
"""Writes model/unicode_data.inc from Python's copy of the Unicode Character Database (run it with Python 3.11: Unicode 14)."""

import sys
import unicodedata


def table(kind: str, name: str, rows: list[tuple[int, ...]]) -> str:
    """A C++ array of `rows`, as many on a line as fit."""
    lines, line = [], "   "
    for row in rows:
        cell = " {" + ", ".join(f"0x{value:X}" for value in row) + "},"
        if len(line) + len(cell) > 128:
            lines.append(line)
            line = "   "
        line += cell
    return f"constexpr std::array<{kind}, {len(rows)}> {name}{{{{\n" + "\n".join([*lines, line]) + "\n}};\n"


def main() -> None:
    """Two tables of decompositions, one of combining classes."""
    pairs, one_way, classes = [], [], []
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        combining = unicodedata.combining(character)
        if combining:
            if classes and classes[-1][1] == code - 1 and classes[-1][2] == combining:
                classes[-1] = (classes[-1][0], code, combining)
            else:
                classes.append((code, code, combining))
        parts = unicodedata.decomposition(character).split()
        if not parts or parts[0].startswith("<"):
            continue
        first, second = int(parts[0], 16), int(parts[1], 16) if len(parts) > 1 else 0
        composes = second and unicodedata.normalize("NFC", character) == character
        (pairs if composes else one_way).append((code, first, second))
    with open("model/unicode_data.inc", "w") as out:
        out.write(f"// Made by dev/make_unicode_data.py from Unicode {unicodedata.unidata_version}; not edited by hand.\n\n")
        out.write("// Characters that are what two others compose to.\n" + table("Decomposition", "composed_pairs", pairs))
        out.write("\n// Characters that are taken apart, or replaced (second 0), and never made again.\n")
        out.write(table("Decomposition", "one_way_decompositions", one_way))
        out.write("\n// Canonical combining classes other than 0.\n" + table("ClassRange", "class_ranges", classes))


if __name__ == "__main__":
    main()

"""The program answers the whole handbook as the reference evaluation did (portfolio/training/README.md): the demo, end to end.

    handbook_answers_test.py TROUPE
"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "dev"))
import handbook_prompts as demo  # noqa: E402

TROUPE = sys.argv.pop(1)
RIGHT_OF_MINI = 73  # of 115, 63.5 %


class Handbook(unittest.TestCase):
    def test_is_answered_by_mini_as_well_as_in_its_evaluation(self) -> None:
        asked = demo.ask(demo.HANDBOOK)
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            file.writelines(demo.line_of(row) for row in asked)
            file.flush()
            command = [TROUPE, "generate", "--model", str(ROOT / "portfolio/mini"), "--input", file.name, "--max-tokens", "120", "--json"]
            answers = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, encoding="utf-8").stdout
        total = demo.judge(asked, answers.splitlines(), "mini", True)
        self.assertEqual((total["questions"], total["right"]), (115, RIGHT_OF_MINI))


if __name__ == "__main__":
    unittest.main()

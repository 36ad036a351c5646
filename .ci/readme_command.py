"""Print one of the README's commands, so that CI runs what the README says and the two cannot drift.

Usage: readme_command.py README.md try|test
"""

import re
import sys
from pathlib import Path


def readme_command(readme: Path, name: str) -> str:
    """Return the one line of the block fenced as ``sh NAME``."""
    blocks = re.findall(rf"^```sh {re.escape(name)}\n(.*?)^```$", readme.read_text(), re.MULTILINE | re.DOTALL)
    if len(blocks) != 1 or len(blocks[0].splitlines()) != 1:
        sys.exit(f'{readme} must have exactly one block "```sh {name}" of one line')
    return blocks[0].strip()


if __name__ == "__main__":
    sys.stdout.write(readme_command(Path(sys.argv[1]), sys.argv[2]) + "\n")

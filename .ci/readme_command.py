"""Prints the commands by which README.md says that tests are run, as they stand there.

That is the first block of shell code with the word pytest in it. Usage: readme_command.py FILE.
"""

import re
import sys
from pathlib import Path


def main() -> int:
    path = Path(sys.argv[1])
    if not path.exists():
        print(f"{path} is not there", file=sys.stderr)
        return 1
    blocks = re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```", path.read_text(), re.M | re.S)
    for block in blocks:
        if "pytest" in block:
            print(re.sub(r"^\$ ", "", block, flags=re.M), end="")
            return 0
    print(f"{path} has no block of shell code that runs pytest", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

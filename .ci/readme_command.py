"""Prints the commands by which README.md installs, runs and tests, as they stand there.

Those are its blocks of shell code, up to the first that runs pytest. Usage: readme_command.py FILE.
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
        print(re.sub(r"^\$ ", "", block, flags=re.M), end="")
        if "pytest" in block:
            return 0
    print(f"{path} has no block of shell code that runs pytest", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

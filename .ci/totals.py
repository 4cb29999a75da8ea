"""Adds up what the parts of .ci/run counted: `N passed, N failed` over all of them.

For a part that failed it repeats what names the cause, as the end of a long output is what is read.

Usage: totals.py FOLDER PART...; FOLDER holds PART.log of each, and `results`, lines of a part's
name, exit status and seconds. A part that failed without a failed test counts as one failed, one
that passed without a test as one passed. Exit status 1 where something failed.
"""

import re
import sys
from pathlib import Path

CAUSES = re.compile(r"^(?:FAILED |ERROR |E  |part .* took more than)")


def causes(part: str, text: str) -> list[str]:
    """The failed tests and their errors; the end of the output where no line looks like one."""
    lines = text.splitlines()
    found = [line for line in lines if CAUSES.match(line)][-60:] or lines[-40:]
    return [f"{part}: {line[:300]}" for line in found]


def main() -> int:
    folder, parts = Path(sys.argv[1]), sys.argv[2:]
    status = dict(line.split()[:2] for line in (folder / "results").read_text().splitlines())
    all_passed = all_failed = all_skipped = 0
    for part in parts:
        log = folder / f"{part}.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        passed = failed = skipped = 0
        # pytest's last line, and that of a C test program.
        for line in re.findall(r"^.*\d+ (?:passed|failed|errors?)\b.*$", text, re.M):
            if not re.search(r"\bin [\d.:]+s?\b|^[\w ,]+: \d+ passed, \d+ failed$", line):
                continue
            for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)\b", line):
                if word == "passed":
                    passed += int(number)
                elif word == "skipped":
                    skipped += int(number)
                else:
                    failed += int(number)
        if status.get(part) != "0":
            failed = max(failed, 1)
            print("\n".join(causes(part, text)))
        elif passed == 0:
            passed = 1
        all_passed += passed
        all_failed += failed
        all_skipped += skipped
    if all_skipped:
        print(f"{all_skipped} skipped; each part's output has the reasons")
    print(f"{all_passed} passed, {all_failed} failed")
    return 1 if all_failed else 0


if __name__ == "__main__":
    sys.exit(main())

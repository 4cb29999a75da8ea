"""Compiles each C file of the library as the running Python needs it, warnings being errors.

CPython's own headers are taken as the system's, for their warnings are not ours to mend.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

CSRC = Path(__file__).resolve().parent.parent / "csrc"
STRICT = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-fvisibility=hidden"]


def main() -> int:
    version = f"{sys.version_info[0]}{sys.version_info[1]}"
    include = sysconfig.get_path("include")
    files = [
        path
        for path in sorted(CSRC.glob("*.c"))
        if not path.name.startswith("pystate_") or path.stem == f"pystate_{version}"
    ]
    failed = 0
    for path in files:
        for extra in ([], ["-DPC_STACK_HOSTILE"]):
            command = ["gcc", *STRICT, *extra, "-isystem", include, "-I", str(CSRC)]
            command += ["-c", str(path), "-o", os.devnull]
            failed += subprocess.run(command).returncode != 0
    print(f"gcc {' '.join(STRICT)}: {len(files)} files, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

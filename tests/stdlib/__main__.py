"""`python -m tests.stdlib [MODULE...]`: runs modules of CPython's test suite patched.

Each module runs in a process of its own, first patched; tests that fail there are run once more
without any patch, and those that fail so as well are the machine's affair: they are named, and do
not count. With no module named, all of skips.MODULES. Ends with 1 where a test failed for us.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.stdlib import skips

ROOT = Path(__file__).resolve().parents[2]


def run(module: str, patched: bool, only: list[str], seconds: float) -> dict[str, Any]:
    """What worker.py tells: see there. A module that hangs or crashes is one failure, "whole"."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, "-m", "tests.stdlib.worker", module, str(result)]
        command += ["--patched"] if patched else []
        work = Path(folder, "work")
        work.mkdir()
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(
            [*command, *only],
            cwd=work,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
            how = f"exit code {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            how = f"did not end within {seconds:.0f} s"
        if result.exists():
            told: dict[str, Any] = json.loads(result.read_text())
            return told
    return {
        "run": 0,
        "failed": {"whole": f"{how}\n{output[-5000:]}"},
        "skipped": {},
        "output": output,
    }


def report(module: str, verbose: bool, seconds: float) -> tuple[int, int, int]:
    """Runs and tells: how many ran, failed for us, and were left out."""
    start = time.monotonic()
    told = run(module, True, [], seconds)
    failed: dict[str, str] = told["failed"]
    plain: dict[str, str] = {}
    if failed and "whole" not in failed:
        plain = run(module, False, list(failed), seconds)["failed"]
    ours = {name: text for name, text in failed.items() if name not in plain}
    print(
        f"{module}: {told['run']} run, {len(ours)} failed, {len(told['skipped'])} left out, "
        f"{time.monotonic() - start:.0f} s",
        flush=True,
    )
    for name, reason in told["skipped"].items():
        print(f"    left out: {name}: {reason}")
    for name in plain:
        print(f"    fails without a patch as well: {name}")
    for name, text in ours.items():
        print(f"    FAILED: {name}")
        if verbose:
            print("\n".join("        " + line for line in text.splitlines()))
    sys.stdout.flush()
    return told["run"], len(ours), len(told["skipped"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stdlib", description=__doc__)
    parser.add_argument("modules", nargs="*", default=skips.MODULES)
    parser.add_argument("--verbose", "-v", action="store_true", help="tracebacks of failures")
    parser.add_argument("--seconds", type=float, default=400, help="for one module (default 400)")
    options = parser.parse_args()
    totals = [report(module, options.verbose, options.seconds) for module in options.modules]
    run_, failed, skipped = map(sum, zip(*totals, strict=True))
    print(f"{run_ - failed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.stdlib [MODULE...]`: runs modules of CPython's test suite patched.

Each module runs in a process of its own, first patched. Where a test does not end, or the process
crashes, that one has failed, and another process goes on with those after it. Tests that fail are
run once more, as regrtest does, for many go by the clock; and those that fail again without any
patch, too: what fails so as well is the machine's affair. Both are named, and do not count. With no
module named, all of skips.MODULES that there are. Ends with 1 where a test failed for us. `--peer
gevent` patches by gevent instead.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.stdlib import skips

ROOT = Path(__file__).resolve().parents[2]
_TICK = 0.1  # seconds between looks at the log
_MOST_PROCESSES = 40  # for one module


@dataclass
class Outcome:
    """Of one module. `passed` are those that ran, skipped by the suite itself included."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # test -> what it said
    left_out: dict[str, str] = field(default_factory=dict)  # test -> our reason
    cut_short: str = ""  # why not all were run


def run(
    module: str, patch: str | None, only: Iterable[str], seconds: float, patience: float
) -> Outcome:
    """seconds: for the module, patience: for one test."""
    outcome = Outcome()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder, "log")
        log.touch()
        for number in range(_MOST_PROCESSES):
            work = Path(folder, str(number))
            work.mkdir()
            how = _run_process(module, patch, only, work, log, until, patience)
            running = ""
            done = False
            for line in map(json.loads, log.read_text().splitlines()):
                running = line.get("begin", "" if "end" in line else running)
                outcome.left_out.update(line.get("left_out", {}))
                done = done or "done" in line
            if done:
                break
            over = {"end": running or f"process {number}", "failed": how}
            with log.open("a") as file:
                file.write(json.dumps(over) + "\n")
            if not running or time.monotonic() > until:
                outcome.cut_short = how
                break
        else:
            outcome.cut_short = f"too many did not end: {_MOST_PROCESSES}"
        for line in map(json.loads, log.read_text().splitlines()):
            if line.get("failed"):
                outcome.failed[line["end"]] = line["failed"]
            elif "end" in line:
                outcome.passed.append(line["end"])
    return outcome


def _run_process(
    module: str,
    patch: str | None,
    only: Iterable[str],
    work: Path,
    log: Path,
    until: float,
    patience: float,
) -> str:
    """How it ended, and what it said at the end."""
    command = [sys.executable, "-m", "tests.stdlib.worker", module, str(log)]
    command += ["--patch", patch] if patch else []
    command += ["--only", *only] if only else []
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    said = work.with_suffix(".output")
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=work,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what it leaves behind ends with it
        )
        how = ""
        size, changed = 0, time.monotonic()
        while process.poll() is None:
            time.sleep(_TICK)
            now = time.monotonic()
            if (new := log.stat().st_size) != size:
                size, changed = new, now
            if now > until or now - changed > patience:
                limit = f"{patience:.0f} s" if now <= until else "the module's time"
                how = f"did not end within {limit}"
                process.send_signal(signal.SIGABRT)  # faulthandler tells where it is
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                break
        process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    text = said.read_text(errors="replace")
    return f"{how or f'exit code {process.returncode}'}\n{text[-5000:]}"


def report(module: str, options: argparse.Namespace) -> tuple[int, int, int]:
    """Runs and tells: how many passed, failed for us, and were left out."""
    start = time.monotonic()
    limits = (options.seconds, options.patience)
    outcome = run(module, options.peer, options.only, *limits)
    failed, plain = outcome.failed, dict[str, str]()
    if failed:
        failed = run(module, options.peer, list(failed), *limits).failed
    if failed:
        plain = run(module, None, list(failed), *limits).failed
    ours = {name: text for name, text in failed.items() if name not in plain}
    if outcome.cut_short or not outcome.passed:
        ours["the rest, which was not run"] = outcome.cut_short
    counts = len(outcome.passed), len(ours), len(outcome.left_out)
    lines = [
        "{}: {} passed, {} failed, {} left out, {:.0f} s".format(
            module, *counts, time.monotonic() - start
        )
    ]
    lines += [f"    left out: {name}: {reason}" for name, reason in outcome.left_out.items()]
    lines += [f"    passed at the second try: {name}" for name in outcome.failed.keys() - failed]
    lines += [f"    fails without a patch as well: {name}" for name in plain]
    for name, text in ours.items():
        lines.append(f"    FAILED: {name}")
        if options.verbose:
            lines += ["        " + line for line in text.splitlines()]
    print("\n".join(lines), flush=True)
    return counts


def is_there(module: str) -> bool:
    """Does this version have it?"""
    try:
        return importlib.util.find_spec(f"test.{module}") is not None
    except ModuleNotFoundError:  # not even its package
        return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stdlib", description=__doc__)
    usual = list(filter(is_there, skips.MODULES))
    parser.add_argument("modules", nargs="*", default=usual)
    parser.add_argument("--only", nargs="*", default=[], help="Class.test_name of one module")
    parser.add_argument("--peer", choices=["pycoro", "gevent"], default="pycoro")
    parser.add_argument("--verbose", "-v", action="store_true", help="tracebacks of failures")
    parser.add_argument("--seconds", type=float, default=400, help="for one module (default 400)")
    parser.add_argument("--patience", type=float, default=90, help="for one test (default 90 s)")
    parser.add_argument("--jobs", type=int, default=1, help="modules at once (default 1)")
    options = parser.parse_args()
    if not options.modules:
        parser.error("this Python comes without its test suite")
    with ThreadPoolExecutor(options.jobs) as pool:
        totals = list(pool.map(lambda module: report(module, options), options.modules))
    passed, failed, left_out = map(sum, zip(*totals, strict=True))
    print(f"{left_out} left out, for the reasons above")
    print(f"standard library, {options.peer}: {passed} passed, {failed} failed")  # .ci/totals.py
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

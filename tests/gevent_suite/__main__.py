"""gevent's own tests, run on pycoro: python -m tests.gevent_suite [-v] [NAME...]

They come from the wheel of the version whose API pycoro has, fetched from PyPI by pip, and are put
where `import gevent` finds pycoro, so that the scripts they start run on pycoro as well. Nothing in
them is changed. table.py has those that are no tests of pycoro, each with its reason: they must
fail, so that this list stays true, or are left out; all else must pass, if not at once, then when
its module is run once more, for many go by the clock. NAME is test__x, for that module, or
test__x.part, for those of its tests that have the part in their names.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

from tests.wheels import download, fetch_needed, unpack

from .table import FAILING, LEFT_OUT
from .worker import BEGUN, FAILED, PASSED, SKIPPED

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = "26.9.0"
NEEDED = ("psutil", "zope.event", "zope.interface")  # by those tests
JOBS = 2
LIMIT = 120  # seconds for a module

Results = dict[str, tuple[str, str]]  # of a test's name: how it ended, and why


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gevent_suite", description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="each test by its name")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gevent-suite-") as scratch:
        folder = Path(scratch)
        fetch_tests(folder)
        path = [str(folder), *fetch_needed(folder, NEEDED), str(ROOT)]
        os.environ["PYTHONPATH"] = os.pathsep.join(path)
        known = sorted(file.stem for file in (folder / "gevent/tests").glob("test_*.py"))
        wanted = [name.partition(".")[::2] for name in options.names] or [(m, "") for m in known]
        named = {module for module, _ in wanted} | set(reasons(LEFT_OUT))
        if unknown := sorted(named - set(known)):
            raise SystemExit(f"gevent {VERSION} has no such modules of tests: {unknown}")
        results: Results = {}
        with ThreadPoolExecutor(JOBS) as pool:
            for found in pool.map(lambda what: try_twice(folder, *what), wanted):
                results.update(found)
                for name, (outcome, _) in found.items():
                    if options.verbose:
                        print(f"{name}: {outcome}", flush=True)
    return judge(results, everything=not options.names)


# ---- fetching ----


def fetch_tests(folder: Path) -> None:
    """Puts the tests of the wheel into the folder, and the stand-in."""
    if not download(folder, f"gevent=={VERSION}"):
        raise SystemExit(f"pip cannot fetch gevent {VERSION}: see above")
    unpack(folder, "gevent", ("_compat.py", "_config.py", "_util.py", "testing/", "tests/"))
    shutil.copy(Path(__file__).with_name("stand_in.py"), folder / "gevent/__init__.py")


# ---- running ----


def try_twice(folder: Path, module: str, part: str) -> Results:
    """run(); what fails then, without a reason, may pass when all of it is run again."""
    results = run(folder, module, part)
    failed = [
        f"{name}\n{text}"
        for name, (outcome, text) in results.items()
        if outcome == FAILED and not any(fnmatchcase(name, pattern) for pattern in reasons(FAILING))
    ]
    if failed:
        print(f"once more: {module}, for", *failed, sep="\n", flush=True)
        results = run(folder, module, part)
    return results


def run(folder: Path, module: str, part: str) -> Results:
    """Those of a module's tests that have the part in their names."""
    if module in reasons(LEFT_OUT):
        return {}
    own = Path(tempfile.mkdtemp(prefix=module, dir=folder))
    lines = own / "results"
    lines.touch()
    arguments = f"{module!r}, {str(lines)!r}, {part!r}"
    code = f"from tests.gevent_suite.worker import run; run({arguments})"
    with (own / "output").open("w+") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            end = f"exit status {child.wait(LIMIT)}"
        except subprocess.TimeoutExpired:
            end = f"not ended after {LIMIT} s"
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)  # and those it has left behind
            except ProcessLookupError:
                pass
            child.wait()
        output.seek(0)
        results: Results = {}
        for line in lines.read_text().splitlines():
            name, outcome, text = json.loads(line)
            results[name] = (outcome, text)
        for name, (outcome, _) in results.items():
            if outcome == BEGUN:
                results[name] = (FAILED, end)
        if end != "exit status 0" and all(outcome != FAILED for outcome, _ in results.values()):
            results[module] = (FAILED, end)
        if results.get(module, (PASSED, ""))[0] == FAILED:
            outcome, text = results[module]
            results[module] = (outcome, f"{output.read()[-2000:]}\n{text}")
    return results


# ---- what comes of it ----


def reasons(table: dict[str, str]) -> dict[str, str]:
    return {pattern: reason for reason, names in table.items() for pattern in names.split()}


def matching(names: Iterable[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]


def judge(results: Results, everything: bool) -> int:
    """Tells of all that is not as the tables say, and counts."""
    bad: Results = {}
    not_run: Counter[str] = Counter()
    failing = {
        name: reason
        for pattern, reason in reasons(FAILING).items()
        for name in matching(results, pattern)
    }
    counts = Counter(outcome for outcome, _ in results.values())
    for name, (outcome, text) in results.items():
        if name in failing and outcome == FAILED:
            not_run[failing[name]] += 1
        elif name in failing:
            bad[name] = (FAILED, f"has {outcome}, but table.py says: {failing[name]}")
        elif outcome == FAILED:
            bad[name] = (outcome, text)
        elif outcome == SKIPPED:
            print(f"skipped by itself: {name}: {text[:100]}")
    if everything:
        not_run.update(reasons(LEFT_OUT).values())
        for pattern in reasons(FAILING):
            if not matching(results, pattern):
                bad[pattern] = (FAILED, "table.py has it, but there is no such test")
    for reason, number in not_run.items():
        print(f"not run: {number}: {reason}")
    for name, (_, text) in bad.items():
        print(f"{'=' * 70}\nFAILED {name}\n{text}")
    passed = counts[PASSED] - sum(results[name][0] == PASSED for name in bad if name in results)
    print(
        f"gevent {VERSION}'s tests on pycoro, Python {sys.version.split()[0]}: "
        f"{passed + len(bad)} run, {counts[SKIPPED]} skipped by themselves, "
        f"{sum(not_run.values())} not run or meant to fail"
    )
    print(f"suite of gevent: {passed} passed, {len(bad)} failed")  # .ci/totals.py knows such a line
    return 1 if bad or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

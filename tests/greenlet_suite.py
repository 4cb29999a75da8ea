"""greenlet's own tests, run on pycoro.greenlet: python -m tests.greenlet_suite [-v] [NAME...]

They come from the wheel of the version whose API pycoro.greenlet has, fetched from PyPI by pip, and
are put where `import greenlet` finds them, so that the scripts they start run on pycoro as well.
Nothing in them is changed. What is not run, and what must do better than there, is listed below
with its reason; all else must pass. NAME is part of a test's name: only such are run.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import unittest
from collections.abc import Iterator
from pathlib import Path

from tests.wheels import download, fetch_needed, unpack

ROOT = Path(__file__).resolve().parent.parent
VERSION = "3.5.6"
NEEDED = ("objgraph", "psutil")  # by those tests
LIMIT = 540  # seconds for all of them

FAULTS = (
    "makes PyPI's copying of stacks fail, by a class made for that (UnswitchableGreenlet): "
    "no stack is copied here"
)
NOT_RUN = {
    "TestBrokenGreenlets.test_failed_to_initialstub": FAULTS,
    "TestBrokenGreenlets.test_failed_to_switch_into_running": FAULTS,
    "TestBrokenGreenlets.test_failed_to_slp_switch_into_running": FAULTS,
}

# Known to leak by PyPI's account: there they pass only if they do. Here they must not.
MUST_NOT_LEAK = {
    "TestGC.test_finalizer_crash",
    "TestLeaks.test_issue251_issue252_explicit_reference_not_collectable",
    "TestLeaks.test_issue251_issue252_need_to_collect_in_background",
    "TestLeaks.test_issue251_issue252_need_to_collect_in_background_cleanup_disabled",
}
if sys.version_info >= (3, 14):
    MUST_NOT_LEAK.add("TestGreenlet.test_throw_to_dead_thread_doesnt_crash")

# Found first by `import greenlet`, here and in the scripts that the tests start.
STAND_IN = """
    import os, sys
    import pycoro.greenlet
    pycoro.greenlet.__path__.append(os.path.dirname(__file__))  # which has `tests`
    del sys.modules[__name__]  # this file's module, in whose place that is put
    pycoro.greenlet.install()
    if sys.version_info < (3, 13):
        # A field of the interpreter's that PyPI's shows for one test, which is content with this.
        pycoro.greenlet._greenlet.get_tstate_trash_delete_nesting = lambda: 0
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.greenlet_suite", description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="each test by its name")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="greenlet-suite-") as scratch:
        folder = Path(scratch)
        fetch_tests(folder)
        needed = fetch_needed(folder, NEEDED)
        package = folder / "greenlet"
        (package / "__init__.py").write_text(textwrap.dedent(STAND_IN))
        path = [str(folder), *needed, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        code = "from tests.greenlet_suite import run; run()"
        verbose = ["-v"] if options.verbose else []
        return subprocess.run(
            [sys.executable, "-c", code, *verbose, *options.names],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        ).returncode


# ---- fetching ----


def fetch_tests(folder: Path) -> None:
    """Puts greenlet/tests of the wheel into the folder. Its extension modules are of use only on
    the version of Python that the wheel is for."""
    wanted = f"greenlet=={VERSION}"
    if not download(folder, wanted) and not download(folder, wanted, ["--python-version", "3.13"]):
        raise SystemExit(f"pip cannot fetch greenlet {VERSION}: see above")
    unpack(folder, "greenlet", ("tests/",))


# ---- running, in a process of its own ----


def run() -> None:
    """Runs the tests by the command line's names; exits with 0 where all is well."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    verbose = "-v" in sys.argv
    names = [name for name in sys.argv[1:] if name != "-v"]
    suite = unittest.TestSuite()
    left_out: list[tuple[str, str]] = []
    for test in find_tests(left_out):
        name = short_name(test)
        if names and not any(part in test.id() for part in names):
            continue
        if name in NOT_RUN:
            left_out.append((name, NOT_RUN[name]))
            continue
        if name in MUST_NOT_LEAK:
            method = getattr(test, name.partition(".")[2])
            method.__wrapped__.fails_leakcheck = False
        suite.addTest(test)
    result = unittest.TextTestRunner(verbosity=2 if verbose else 1).run(suite)
    for name, reason in left_out:
        print(f"not run: {name}: {reason}")
    for test, reason in result.skipped:
        print(f"skipped by itself: {short_name(test)}: {reason.splitlines()[0][:100]}")
    bad = len(result.failures) + len(result.errors)
    good = suite.countTestCases() - bad - len(result.skipped)
    print(
        f"greenlet {VERSION}'s tests on pycoro.greenlet, Python {sys.version.split()[0]}: "
        f"{len(result.skipped)} skipped by themselves, {len(left_out)} not run"
    )
    print(f"suite of greenlet: {good} passed, {bad} failed")  # .ci/totals.py knows such a line
    sys.stdout.flush()
    sys.exit(0 if good and not bad else 1)


def find_tests(left_out: list[tuple[str, str]]) -> Iterator[unittest.TestCase]:
    import greenlet.tests  # the one in the folder

    assert greenlet.__name__ == "pycoro.greenlet", "import greenlet gives another"
    folder = Path(next(iter(greenlet.tests.__path__)))
    for path in sorted(folder.glob("test_*.py")):
        try:
            module = importlib.import_module(f"greenlet.tests.{path.stem}")
        except ImportError as error:  # of a compiled module
            suffix = sysconfig.get_config_var("EXT_SUFFIX")
            if any(folder.glob(f"_test_extension*{suffix}")):
                raise
            left_out.append((path.stem, f"there is no wheel for this version: {error}"))
            continue
        yield from flatten(unittest.defaultTestLoader.loadTestsFromModule(module))


def flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from flatten(part)
        else:
            yield part


def short_name(test: unittest.TestCase) -> str:
    """Class.method"""
    return ".".join(test.id().split(".")[-2:])


if __name__ == "__main__":
    sys.exit(main())

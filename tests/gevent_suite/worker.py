"""Runs one of gevent's test modules as a script, in this process: run(MODULE, RESULTS, PART).

A line of RESULTS, in JSON, says that a test begins, or how it has ended. A module without unittest
is a test by itself, by its own name; so is one that cannot be imported, or that ends early.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
import unittest
from pathlib import Path
from typing import Any

BEGUN, PASSED, FAILED, SKIPPED = "begun", "passed", "failed", "skipped"


def run(module: str, results: str, part: str) -> None:
    """`part`: of the names of those tests that are run."""
    record = Record(module, results)
    folder = Path.cwd() / "gevent/tests"
    sys.argv = [str(folder / f"{module}.py")]
    os.chdir(folder)

    def main(*args: Any, **options: Any) -> None:
        suite = unittest.TestSuite()
        for test in flatten(unittest.defaultTestLoader.loadTestsFromName("__main__")):
            if part in record.name_of(test):
                suite.addTest(test)
        record.tests = suite.countTestCases()
        suite.run(record)

    unittest.main = main  # type: ignore[assignment,misc]
    try:
        runpy.run_module(f"gevent.tests.{module}", run_name="__main__", alter_sys=True)
    except unittest.SkipTest as reason:
        record.write(module, SKIPPED, str(reason))
    except SystemExit as error:
        if record.tests is None:
            record.write(module, FAILED if error.code else PASSED, f"exit status {error.code}")
    except BaseException:
        record.write(module, FAILED, traceback.format_exc())
    else:
        if record.tests is None:
            record.write(module, PASSED)


def flatten(suite: Any) -> Any:
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from flatten(part)
        else:
            yield part


class Record(unittest.TestResult):
    """Writes down what comes of each test; in a forked child nothing."""

    tests: int | None = None

    def __init__(self, module: str, path: str) -> None:
        super().__init__()
        self.module, self.path, self.pid = module, Path(path), os.getpid()
        self.outcome: tuple[str, str] = (PASSED, "")

    def name_of(self, test: unittest.TestCase) -> str:
        """module.Class.method"""
        return ".".join([self.module, *test.id().split(".")[-2:]])

    def write(self, name: str, what: str, text: str = "") -> None:
        if os.getpid() == self.pid:
            with self.path.open("a") as file:
                file.write(json.dumps([name, what, text]) + "\n")

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.outcome = (PASSED, "")
        self.write(self.name_of(test), BEGUN)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self.write(self.name_of(test), *self.outcome)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        if not isinstance(test, unittest.TestCase):  # a class, or the module
            self.write(self.module, SKIPPED, reason)
        elif self.outcome[0] == PASSED:
            self.outcome = (SKIPPED, reason)

    def addError(self, test: Any, error: Any) -> None:
        super().addError(test, error)
        self.fail(test, self.errors[-1][1])

    def addFailure(self, test: Any, error: Any) -> None:
        super().addFailure(test, error)
        self.fail(test, self.failures[-1][1])

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.fail(test, "passes, though gevent does not expect that")

    def addSubTest(self, test: Any, subtest: Any, error: Any) -> None:
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.fail(test, f"{subtest}: {self._exc_info_to_string(error, test)}")  # type: ignore[attr-defined]

    def fail(self, test: Any, text: str) -> None:
        if isinstance(test, unittest.TestCase):
            self.outcome = (FAILED, text)
        else:  # of a class' or the module's setUp
            self.write(self.module, FAILED, text)

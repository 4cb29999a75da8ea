"""Runs one module of CPython's tests in this process and appends what comes of it to a file, as
lines of JSON: {"left_out": {test: reason}}, {"begin": test}, {"end": test, "failed": text or
null}, at last {"done": true}. Tests whose end that file tells of already are not run again: so a
module in which one crashed or hung can be gone on with.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import queue
import signal
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from tests.stdlib import skips

PATCHES = {"pycoro": "pycoro.monkey", "gevent": "gevent.monkey"}


def leaves(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from leaves(test)
        else:
            yield test


def short(test: Any) -> str:
    """`Class.test_name`; what is no test, such as a setUpClass(), as it calls itself."""
    test = getattr(test, "test_case", test)  # a subtest's
    if not isinstance(test, unittest.TestCase):
        return str(test)
    return ".".join(test.id().split(".")[-2:])


class Result(unittest.TextTestResult):
    """Tells of each test as it begins and ends."""

    log: TextIO

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._texts: dict[str, str] = {}

    def tell(self, **line: Any) -> None:
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def startTest(self, test: Any) -> None:
        self.tell(begin=short(test))
        super().startTest(test)

    def stopTest(self, test: Any) -> None:
        super().stopTest(test)
        self.tell(end=short(test), failed=self._texts.pop(short(test), None))

    def note(self, test: Any, text: str) -> None:
        if isinstance(getattr(test, "test_case", test), unittest.TestCase):
            self._texts[short(test)] = self._texts.get(short(test), "") + text
        else:
            self.tell(end=short(test), failed=text)

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.note(test, self.errors[-1][1])

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self.note(test, self.failures[-1][1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(test, f"{subtest}\n{self._exc_info_to_string(err, test)}")  # type: ignore[attr-defined]

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        self.note(test, "succeeded unexpectedly")


def patch_fresh_modules(import_helper: Any) -> None:
    """Modules that a test imports anew, with their parts in C, are patched as well."""
    table = importlib.import_module("pycoro.monkey.table").TABLE
    import_fresh: Callable[..., Any] = import_helper.import_fresh_module

    def import_fresh_module(name: str, fresh: Any = (), blocked: Any = (), **others: Any) -> Any:
        module = import_fresh(name, fresh, blocked, **others)
        for rows in table.values() if module is not None and not blocked else ():
            for where, attribute, replacement in rows:
                if where == name and attribute in vars(module):
                    setattr(module, attribute, replacement)
        if name == "queue" and not blocked:
            module.Empty = queue.Empty  # which our SimpleQueue raises
        return module

    import_helper.import_fresh_module = import_fresh_module


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("log", type=Path)
    parser.add_argument("--patch", choices=PATCHES)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` leaves it ignored
    if options.patch:
        more = options.patch == "pycoro" and options.module in skips.MULTIPROCESSING
        more_options = {"multiprocessing": True} if more else {}
        importlib.import_module(PATCHES[options.patch]).patch_all(**more_options)
    support: Any = importlib.import_module("test.support")
    if options.patch == "pycoro":
        patch_fresh_modules(importlib.import_module("test.support.import_helper"))
    support.use_resources = ["cpu", "network", "subprocess"]  # not: walltime, largefile
    support.verbose = 0
    told = [json.loads(line) for line in options.log.read_text().splitlines()]
    over = {line["end"] for line in told if "end" in line}
    with options.log.open("a") as Result.log:
        module = importlib.import_module(f"test.{options.module}")
        suite = unittest.TestSuite()
        left_out = {}
        for test in leaves(unittest.defaultTestLoader.loadTestsFromModule(module)):
            name = short(test)
            reason = skips.reason(options.module, name) if options.patch else None
            if reason is not None:
                left_out[name] = reason
            elif name not in over and (not options.only or name in options.only):
                suite.addTest(test)
        Result.log.write(json.dumps({"left_out": left_out}) + "\n")
        unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result).run(suite)
        Result.log.write(json.dumps({"done": True}) + "\n")


if __name__ == "__main__":
    main()

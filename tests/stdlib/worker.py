"""Runs one module of CPython's tests in this process and writes what came of it as JSON:
{"run": count, "failed": {test: traceback}, "skipped": {test: reason}}; skipped are those of
skips.py alone, not those that the suite skips by itself."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path

from tests.stdlib import skips


def leaves(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from leaves(test)
        else:
            yield test


def short(test: object) -> str:
    """`Class.test_name`."""
    if not isinstance(test, unittest.TestCase):
        return str(test)
    return ".".join(test.id().split(".")[-2:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("result", type=Path)
    parser.add_argument("only", nargs="*")
    parser.add_argument("--patched", action="store_true")
    options = parser.parse_args()
    faulthandler.enable()
    if options.patched:
        importlib.import_module("pycoro.monkey").patch_all()
    support = importlib.import_module("test.support")
    support.use_resources = None  # all but what needs other machines or much time
    support.verbose = 0
    module = importlib.import_module(f"test.{options.module}")
    suite = unittest.TestSuite()
    skipped: dict[str, str] = {}
    for test in leaves(unittest.defaultTestLoader.loadTestsFromModule(module)):
        name = short(test)
        reason = skips.reason(options.module, name) if options.patched else None
        if reason is not None:
            skipped[name] = reason
        elif not options.only or name in options.only:
            suite.addTest(test)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = {short(test): text for test, text in [*result.failures, *result.errors]}
    failed.update({short(test): "succeeded unexpectedly" for test in result.unexpectedSuccesses})
    told = {"run": result.testsRun, "failed": failed, "skipped": skipped}
    options.result.write_text(json.dumps(told))


if __name__ == "__main__":
    main()

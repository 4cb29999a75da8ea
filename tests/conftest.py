"""Fixtures for all tests: nothing is left behind in the loop or in the stdlib's modules."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

import pytest
from peers import api, clean_loop

from pycoro import monkey, testing

__all__ = ["api", "clean_loop", "clock", "patched", "quick_collections"]

# A shell's `pytest &` begins with SIGINT ignored, and so would all programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Where no bytecode is to be written beside the sources, it goes to a folder of this run: else
    each of the hundreds of interpreters that tests start would compile all of pycoro again."""
    if sys.dont_write_bytecode:
        folder = tempfile.TemporaryDirectory(prefix="pycoro-bytecode-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder.name


@pytest.fixture(scope="module")
def quick_collections() -> Iterator[None]:
    """For tests that collect often: a collection looks at what they made, not at pytest and all
    that was ever imported. Not for those that patch: that looks for objects by gc.get_objects()."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def clock(clean_loop: None) -> Iterator[testing.VirtualClock]:
    """Time in pycoro's loop is virtual, and nothing is left in there."""
    with testing.virtual_time() as clock:
        yield clock


@pytest.fixture
def patched() -> Iterator[None]:
    """The stdlib is patched for the time of the test."""
    monkey.patch_all()
    try:
        yield
    finally:
        monkey.unpatch_all()

"""Fixtures for all tests: nothing is left behind in the loop or in the stdlib's modules."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from peers import api, clean_loop

from pycoro import monkey, testing

__all__ = ["api", "clean_loop", "clock", "patched"]

# A shell's `pytest &` begins with SIGINT ignored, and so would all programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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

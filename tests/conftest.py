"""Fixtures for all tests: nothing is left behind in the loop or in the stdlib's modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers import api, clean_loop

from pycoro import monkey

__all__ = ["api", "clean_loop", "patched"]


@pytest.fixture
def patched() -> Iterator[None]:
    """The stdlib is patched for the time of the test."""
    monkey.patch_all()
    try:
        yield
    finally:
        monkey.unpatch_all()

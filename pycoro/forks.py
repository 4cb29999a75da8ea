"""What is to be done in a forked child, where of all threads and tasks one is left.

Each module that keeps something that the parent's threads or tasks were to see to says so here. It
is done after os.fork() by itself, in the order in which modules were imported; after a fork that
Python has not seen (C code's), reinit() does it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from .threads import run_unraisable

F = TypeVar("F", bound=Callable[[], object])

_functions: list[Callable[[], object]] = []
_process = os.getpid()


def in_child(function: F) -> F:
    """Has it called in each forked child. What it raises keeps no other from being called."""
    _functions.append(function)
    return function


def _after_fork() -> None:
    global _process
    _process = os.getpid()
    for function in _functions:
        run_unraisable(function)


def reinit(hub: Any = None) -> None:
    """In a child process that was forked behind Python's back: does what is done by itself after
    os.fork(). Does nothing where that has been done; gevent's name. `hub` is ignored: gevent's."""
    if os.getpid() != _process:
        _after_fork()


os.register_at_fork(after_in_child=_after_fork)

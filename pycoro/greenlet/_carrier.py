"""What the C library asks of Python for greenlets: see pc_greenlet_init() in csrc/api.h.

In a module of its own, which the C library keeps for good: what others have put into _greenlet, by
its name in PyPI's, dies with that at the end of the interpreter.
"""

from __future__ import annotations

from typing import Any

from .. import threads
from ..coroutine import Coroutine


class Carrier(Coroutine):
    """Stands for a greenlet that runs wherever pycoro wants to know the running coroutine."""

    __slots__ = ("_carried",)  # the greenlet, if nobody else has a reference to it


def carry(notes: dict[Any, Any] | None) -> Carrier:
    """A blank one; `notes` is what the last one of the greenlet had in _notes, or None."""
    carrier = Coroutine.__new__(Carrier)
    carrier._entry = carrier._context = carrier._stack_size = carrier._wait = None
    carrier._name = "greenlet"
    carrier._thread = thread = threads.of_this()
    carrier._parent = thread.main
    if notes is not None:
        carrier._notes = notes
    return carrier


def measure(greenlet: Any) -> int:
    """Bytes of C stack under a greenlet that a Python function has suspended, in whichever way."""
    back = greenlet.getcurrent().switch
    depths: list[int] = []
    for run in (lambda: greenlet.getcurrent().parent.switch(), lambda: back(), lambda: back(*())):
        suspended = greenlet(run)
        suspended.switch()
        depths.append(suspended._stack_saved)
        suspended.switch()
    return max(depths)

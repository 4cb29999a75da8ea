"""Blocks of code with a limit of time, as trio has them, and where code that computes for long lets
itself be cancelled.

move_on_after() leaves the block silently when the time is over, fail_after() by TimeoutError; both
are cancel scopes (see scope.py), so each wait in the block fails from then on. Seconds count from
entering the block. A task that nothing in here is about costs nothing.
"""

from __future__ import annotations

from math import inf
from types import TracebackType
from typing import Any

from . import _native
from .chain import innermost
from .checks import check_number
from .loop import get_loop
from .scope import DEADLINE, CancelScope
from .wakeup import defer_interrupt

_current = _native.current


def move_on_after(seconds: float | None, *, shield: bool = False) -> CancelScope:
    """A CancelScope for `seconds` from entering it; None for no limit. Errors: TypeError for what
    is no number, ValueError for NaN or a negative one."""
    return _limit(CancelScope(shield=shield), seconds)


def move_on_at(deadline: float, *, shield: bool = False) -> CancelScope:
    """A CancelScope until `deadline`, by current_time()."""
    return CancelScope(deadline, shield)


def fail_after(seconds: float | None, *, shield: bool = False) -> CancelScope:
    """Like move_on_after(), but where that would leave the block silently, TimeoutError is raised.
    Its attribute `scope` is what this returns. A cancel() leaves the block silently all the
    same."""
    return _limit(_FailScope(f"fail_after({seconds!r})", shield=shield), seconds)


def fail_at(deadline: float, *, shield: bool = False) -> CancelScope:
    """Like fail_after(), until `deadline`, by current_time()."""
    return _FailScope(f"fail_at({deadline!r})", deadline, shield)


class _FailScope(CancelScope):
    """`call`: what made it."""

    __slots__ = ("call",)

    def __init__(self, call: str, deadline: float = inf, shield: bool = False) -> None:
        super().__init__(deadline, shield)
        self.call = call

    @defer_interrupt
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        caught = CancelScope.__exit__(self, kind, value, traceback)
        if not caught or self.reason is not DEADLINE:
            return caught
        owner = self._owner()
        name = "?" if owner is None else repr(owner.name)
        error = TimeoutError(f"{self.call} of {name} at {self.place}: its time is over")
        error.scope = self  # type: ignore[attr-defined]
        raise error from value


def _limit(scope: CancelScope, seconds: float | None) -> CancelScope:
    if seconds is None:
        return scope
    check_number(seconds, "seconds")
    if seconds < 0:
        raise ValueError(
            f"seconds must not be negative, as {seconds!r} is: where the time may be over already, "
            "take max(0, seconds)"
        )
    scope._deadline = None
    scope._seconds = seconds
    return scope


def current_time() -> float:
    """Seconds of this thread's loop's clock, which deadlines are by."""
    return get_loop().clock()


def current_effective_deadline() -> float:
    """When the running coroutine is cancelled, as far as is known: the earliest deadline of the
    scopes that it is in, up to a shield. -inf: it is cancelled; inf: there is no limit."""
    scope = innermost(_current())
    earliest: float = inf if scope is None else scope.effective_deadline
    return earliest


@defer_interrupt
def checkpoint() -> None:
    """A wait for nothing: lets the others run for a turn, and raises Cancelled in a cancelled
    scope. For loops that compute."""
    loop = get_loop()
    if loop.cancelling:
        checkpoint_if_cancelled()
    loop.ready.append(loop.enlist(None))
    loop._look_from = 0.0  # the loop is one of the others
    loop.pass_on()


def checkpoint_if_cancelled() -> None:
    """Raises Cancelled in a cancelled scope, also where its deadline has passed and the loop has
    had no turn to notice; else returns at once, without letting the others run."""
    scope: Any = innermost(_current())
    while scope is not None:
        if scope.cancel_called:
            break
        scope = None if scope.shield else scope._parent
    else:
        return
    raise innermost(_current()).verdict()

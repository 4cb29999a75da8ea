"""Who is inside of which cancel scope, and whom a cancellation reaches.

A coroutine has its innermost scope in `_notes["scope"]`, and each scope knows the next outer one; a
task's chain goes on with the scope of its TaskGroup. So entering is cheap: nobody keeps a list of
who is inside. That is found from a scope's owner inwards, when it is needed.

A scope knows its owner weakly, for what stands on a coroutine's stack must not keep the coroutine.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from . import _native
from .coroutine import BROKEN_OFF, Coroutine
from .errors import Cancelled
from .loop import Loop

_current = _native.current

NEW, ENTERED, LEFT = "not entered", "entered", "left"


class Link:
    """A CancelScope as a part of a chain: what scope.py builds on."""

    __slots__ = (
        "_called",  # is it cancelled?
        "_group",  # the TaskGroup whose scope it is
        "_loop",
        "_owner",
        "_parent",
        "_shield",
        "_state",
    )

    _called: bool
    _group: Any
    _loop: Loop
    _owner: Callable[[], Coroutine | None]
    _parent: Link | None
    _shield: bool
    _state: str

    @property
    def deadline(self) -> float:
        raise NotImplementedError

    def verdict(self) -> Cancelled | None:
        """What a wait inside of it, and of no scope further in, raises: the outermost scope's that
        is cancelled, and not kept away by a shield. None: it may wait."""
        cancelled = None
        scope: Link | None = self
        while scope is not None:
            if scope._called:
                cancelled = scope
            if scope._shield:
                break
            scope = scope._parent
        return None if cancelled is None else Cancelled(cancelled)

    @property
    def effective_deadline(self) -> float:
        """The earliest deadline of it and of those around it that reach in; -inf where one of them
        is cancelled, inf where there is none."""
        earliest = inf
        scope: Link | None = self
        while scope is not None:
            earliest = min(earliest, -inf if scope._called else scope.deadline)
            if scope._shield:
                break
            scope = scope._parent if scope._state is ENTERED else None
        return earliest

    def spread(self) -> None:
        """Breaks off the waits inside of it that must not go on, all in the loop's own thread. Who
        has been woken already is left alone: the next wait is refused."""
        owner = self._owner()
        if owner is None:
            return
        inside: list[tuple[Coroutine, Link | None]] = [(owner, self._parent)]
        for coroutine, outer in inside:  # which grows
            innermost = scope = coroutine._notes["scope"]
            path: list[Link] = []
            while scope is not outer and scope is not None:
                path.append(scope)
                scope = scope._parent
            for scope in reversed(path):
                if scope._shield and scope is not self:
                    break
                if scope._group is not None:
                    inside.extend((task, scope) for task in scope._group._tasks)
            else:
                where = coroutine._wait
                if where is None or where is BROKEN_OFF or coroutine._handle is None:
                    continue
                error = innermost.verdict()
                if error is not None:
                    self._loop.break_off(coroutine, error)

    def unlink(self) -> None:
        """Takes it out of its owner's chain, wherever in there it is."""
        owner = self._owner()
        if owner is None:
            return
        notes = owner._notes
        inner = notes["scope"]
        if inner is self:
            notes["scope"] = self._parent
        while inner is not None and inner is not self:
            if inner._parent is self:
                inner._parent = self._parent
            inner = inner._parent

    def may_touch(self) -> bool:
        """Can what is inside of it be changed here and now? Not in another thread, nor in a signal
        handler that has come in the middle of a coroutine's going to wait."""
        here = _current()
        if here is None or here._thread is not self._loop._thread:
            return False
        return here._wait is None or here._wait is BROKEN_OFF


def innermost(coroutine: Coroutine | None) -> Any:
    """The coroutine's innermost scope, or None."""
    notes = getattr(coroutine, "_notes", None)
    return None if notes is None else notes.get("scope")


def move(coroutine: Coroutine, old: Link, new: Link) -> None:
    """Its chain goes on with `new` where it went on with `old`."""
    if innermost(coroutine) is old:
        coroutine._notes["scope"] = new
    scope = innermost(coroutine)
    while scope is not None and scope is not new:
        if scope._parent is old:
            scope._parent = new
        scope = scope._parent
    new.spread()  # it may be cancelled

"""Cancel scopes: blocks of code that can be given up, at a deadline or by cancel(). As trio's.

Cancellation is a state, not an event: while a coroutine is inside of a cancelled scope, each wait
raises Cancelled before it begins, also in clean-up code, until the scope has been left, which
catches its own Cancelled and no other. Where several scopes are cancelled, the outermost one's is
raised. A shield keeps the cancellation of outer scopes away from what is inside of it. A kill, a
Timeout and Ctrl-C are raised as always: no scope catches them, no shield keeps them away.

`loop.cancelling` counts the scopes that are cancelled and have not been left: where it is 0,
waiting costs no more than without scopes (see Scheduler.pass_on).
"""

from __future__ import annotations

from math import inf
from sys import _getframe
from sys import exception as _being_handled
from types import CodeType, TracebackType
from typing import Any
from weakref import ref

from . import _native
from .chain import ENTERED, LEFT, NEW, Link, innermost
from .checks import check_number
from .errors import Cancelled, CoroutineExit
from .loop import get_loop
from .timers import Timer
from .wakeup import defer_interrupt

_current = _native.current

DEADLINE: Any = object()  # the reason of a scope whose deadline has passed

# What must not get lost where a Cancelled has taken its place.
_STRONGER = (CoroutineExit, KeyboardInterrupt, SystemExit)


class CancelScope(Link):
    """`with CancelScope() as scope:` runs the block until scope.cancel() is called, or until the
    time `deadline`, in seconds of the loop's clock; then the block is left silently. For one block
    of one coroutine. What a plain spawn() starts in there is outside of all scopes; the children
    of a TaskGroup are inside of those that the group is in.

    cancelled_caught: was the block left because of this scope? reason: what cancel() was given.
    Errors: TypeError, ValueError for a deadline that is no number; TypeError for a shield that is
    no bool.
    """

    __slots__ = (
        "__weakref__",
        "_code",
        "_counted",  # in loop.cancelling?
        "_deadline",  # None: `_seconds` after it is entered
        "_instruction",
        "_outside",  # the exception that was being handled when it was entered
        "_seconds",
        "_timer",
        "cancelled_caught",
        "reason",
    )

    _seconds: float

    def __init__(self, deadline: float = inf, shield: bool = False) -> None:
        if deadline != inf:
            check_number(deadline, "deadline")
        if shield is not False:
            _check_shield(shield)
        self._deadline: float | None = deadline
        self._shield = shield
        self._called = False
        self._counted = False
        self._state = NEW
        self._timer: Timer | None = None
        self._group = None
        self.cancelled_caught = False
        self.reason: Any = None

    # ---- entering and leaving ----

    @defer_interrupt
    def __enter__(self) -> CancelScope:
        if self._state is not NEW:
            raise RuntimeError(f"{self!r} is for one block: make another one for this")
        me = _current()
        if me is None or (loop := me._thread.loop) is None:
            loop = get_loop()
            me = _current()
        try:
            notes = me._notes
        except AttributeError:
            notes = me._notes = {}
        frame = _getframe(1)
        self._code: CodeType = frame.f_code
        self._instruction = frame.f_lasti
        self._outside: BaseException | None = _being_handled()
        self._owner = ref(me)
        self._loop = loop
        self._parent = notes.get("scope")
        self._state = ENTERED
        notes["scope"] = self
        if self._called or self._deadline != inf:
            self._begin()
        return self

    def _begin(self) -> None:
        if self._deadline is None:
            self._deadline = self._loop.clock() + self._seconds
            if self._seconds > 0 and not self._called:
                self._timer = self._loop.add_timer(_Expiry(self._deadline, self))
                return
        if self._called:
            self._take_effect()
        else:
            self._arm()

    @defer_interrupt
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        me = _current()
        try:
            notes = me._notes
            in_order = notes["scope"] is self and ((owner := self._owner()) is me or owner is None)
        except (AttributeError, KeyError):
            in_order = False
        if in_order:
            notes["scope"] = self._parent
        elif self._state is not ENTERED or self._owner() is not None:
            self._refuse_to_leave()  # else its coroutine goes on under another object, to end
        outside = self._outside
        self._leave()
        return value is not None and self._called and self._catch(value, outside)

    def _leave(self) -> None:
        self._state = LEFT
        self._parent = self._outside = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._counted:
            self._counted = False
            self._loop.cancelling -= 1

    def _catch(self, error: BaseException, outside: BaseException | None) -> bool:
        """Is the error what the scope itself has raised? Of a group, the rest goes on."""
        if not self.has_raised(error):
            return False
        if isinstance(error, BaseExceptionGroup):
            rest = self.rest_of(error)
            self.cancelled_caught = True
            if rest is not None:
                raise rest from rest.__cause__
            return True
        # Has it come in the way of a kill, in a `finally` block that waits? That goes on then.
        former, seen = error.__context__, {id(error)}  # somebody may have made a ring of them
        while former is not None and former is not outside and id(former) not in seen:
            if isinstance(former, _STRONGER):
                raise former
            seen.add(id(former))
            former = former.__context__
        self.cancelled_caught = True
        return True

    def has_raised(self, error: BaseException) -> bool:
        """Is the error of this scope, or a group with one in it?"""
        if isinstance(error, BaseExceptionGroup):
            return any(self.has_raised(one) for one in error.exceptions)
        return isinstance(error, Cancelled) and error.scope is self

    def rest_of(self, group: BaseExceptionGroup[BaseException]) -> BaseException | None:
        """The group without the errors of this scope."""
        return group.split(lambda one: isinstance(one, Cancelled) and one.scope is self)[1]

    def _refuse_to_leave(self) -> None:
        """Out of order. It is left all the same, for there will be no other exit."""
        if self._state is not ENTERED:
            raise RuntimeError(f"{self!r} cannot be left: it is {self._state}")
        here, owner = _current(), self._owner()
        if here is owner:
            wrong = f"before {innermost(here)!r}, which is inside of it"
        else:
            wrong = "by another thread" if here is None else f"by {here!r}"
        message = f"{self!r} was left {wrong}: leave it where it was entered, by a `with` block"
        if self.may_touch():
            self._give_up()
        else:
            self._loop.post_threadsafe(self._give_up)
        raise RuntimeError(message)

    def _give_up(self) -> None:
        if self._state is ENTERED:
            self.unlink()
            self._leave()

    # ---- cancelling ----

    def cancel(self, reason: Any = None) -> None:
        """Cancels it: waits inside of it break off, and none begins. May be called by any thread
        or signal handler; before the block is entered, too. Does nothing the second time, or once
        the block has been left. `reason` is told in the message of Cancelled."""
        if self._called or self._state is LEFT:
            return
        if reason is None:
            here = _current()
            reason = "cancel() was called" + (f" by {here.name!r}" if here is not None else "")
        self.reason = reason
        self._called = True  # then: is it entered? __enter__ has it the other way round
        if self._state is NEW:
            return
        if self.may_touch():
            self._take_effect()
        else:
            self._loop.post_threadsafe(self._take_effect)

    @defer_interrupt
    def _take_effect(self) -> None:
        if self._counted or self._state is not ENTERED:
            return
        self._counted = True
        self._loop.cancelling += 1
        if self._timer is not None:
            self._timer.cancel()
        self.spread()

    @property
    def cancel_called(self) -> bool:
        """Has cancel() been called, or the deadline passed?"""
        timer = self._timer
        if timer is not None and not self._called and self._loop.clock() >= timer.when:
            self.cancel(DEADLINE)
        return self._called

    # ---- deadline and shield ----

    @property
    def deadline(self) -> float:
        """When it is cancelled by itself, in seconds of the loop's clock; inf: never. Settable,
        inside as well. Errors: TypeError, ValueError for what is no number."""
        if self._timer is not None:
            return self._timer.when
        if self._deadline is None:
            return get_loop().clock() + self._seconds
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = check_number(deadline, "deadline")
        if self._state is not ENTERED:
            return
        if self.may_touch():
            self._arm()
        else:
            self._loop.post_threadsafe(self._arm)

    @defer_interrupt
    def _arm(self) -> None:
        """Has the timer set to the deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._deadline
        if self._called or self._state is not ENTERED or deadline is None or deadline == inf:
            return
        if deadline <= self._loop.clock():
            self.cancel(DEADLINE)
        else:
            self._timer = self._loop.add_timer(_Expiry(deadline, self))

    @property
    def shield(self) -> bool:
        """Does it keep away the cancellation of outer scopes? Settable, inside as well. Errors:
        TypeError for what is no bool."""
        return self._shield

    @shield.setter
    def shield(self, shield: bool) -> None:
        self._shield = _check_shield(shield)
        if shield or self._state is not ENTERED:
            return
        if self.may_touch():
            self.spread()  # what was kept away comes in
        else:
            self._loop.post_threadsafe(self.spread)

    # ---- for messages ----

    @property
    def place(self) -> str:
        """Where it was entered: "file:line"."""
        if self._state is NEW:
            return "nowhere"
        for start, end, line in self._code.co_lines():
            if start <= self._instruction < end:
                return f"{self._code.co_filename}:{line}"
        return self._code.co_filename

    @property
    def why(self) -> str:
        """Why it is cancelled, in words."""
        if not self._called:
            return "it is not cancelled"
        return "its deadline has passed" if self.reason is DEADLINE else str(self.reason)

    def __repr__(self) -> str:
        state = self._state
        if state is not NEW:
            owner = self._owner()
            name = "one that is gone" if owner is None else repr(owner.name)
            state = f"{state}, of {name} at {self.place}"
        cancelled = ", cancelled" if self._called else ""
        shield = ", a shield" if self._shield else ""
        return f"<{type(self).__name__} {state}{cancelled}{shield} {id(self):#x}>"


class _Expiry(Timer):
    """The deadline of a scope."""

    __slots__ = ("scope",)

    def __init__(self, when: float, scope: CancelScope) -> None:
        self.when = when
        self.callback = scope.cancel
        self.args = (DEADLINE,)
        self.heap = None
        self.scope = scope

    def subjects(self) -> list[Any]:
        return [self.scope._owner()]


def _check_shield(shield: bool) -> bool:
    if not isinstance(shield, bool):
        raise TypeError(f"shield must be a bool, not {type(shield).__name__}")
    return shield

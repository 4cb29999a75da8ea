"""choose(): waits for the first of several things to be possible, and does that one alone. Go's
select, for queues, channels, locks, events, tasks and timers.

For each case an option stands in line where the case is decided. Who calls the first in line has to
claim it; all options of a choice share one claim. So of all that might have been done at once, in
whatever threads, one is: the others find the option spent, and call the next in their line. Whoever
is claimed, and killed before he goes on, calls the next as well. What is taken is taken by the
chooser itself when it goes on, as everywhere in queues.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from .checks import check_timeout
from .exchange import NOTHING, Exchange, Full
from .loop import get_loop
from .semaphore import Semaphore
from .timers import Timer
from .waiting import pass_on_until, wake
from .wakeup import defer_interrupt

_random = Random().random


class Get:
    """A case of choose(): get() from the queue or channel. Its value is the item. The queue itself
    as a case means the same."""

    __slots__ = ("queue",)

    def __init__(self, queue: Exchange) -> None:
        self.queue = _check_queue(queue)

    def _attempt(self) -> Any:
        return self.queue._attempt_get()

    def _join(self, option: _Option) -> None:
        self.queue._join_getters(option)

    def _leave(self, option: _Option) -> None:
        _remove(self.queue.getters, option)

    def _accept(self) -> Any:
        return self.queue._accept_get()

    def _decline(self) -> None:
        self.queue._decline_get()

    def __repr__(self) -> str:
        return f"Get({self.queue!r})"


class Put:
    """A case of choose(): put(item) to the queue or channel. Its value is None."""

    __slots__ = ("item", "queue")

    def __init__(self, queue: Exchange, item: Any) -> None:
        self.queue = _check_queue(queue)
        self.item = item

    def _attempt(self) -> Any:
        try:
            self.queue._attempt_put(self.item)
        except Full:
            return NOTHING
        return None

    def _join(self, option: _Option) -> None:
        option.item = self.item
        self.queue._join_putters(option)

    def _leave(self, option: _Option) -> None:
        _remove(self.queue.putters, option)

    def _accept(self) -> Any:
        self.queue._accept_put(self.item)

    def _decline(self) -> None:
        self.queue._decline_put()

    def __repr__(self) -> str:
        return f"Put({self.queue!r}, {self.item!r})"


class After:
    """A case of choose(): `seconds` have passed since this was made. Its value is `value`. One that
    is used in several choices is a time limit for all of them. TypeError, ValueError for what is
    no number of seconds."""

    __slots__ = ("seconds", "value", "when")

    def __init__(self, seconds: float, value: Any = None) -> None:
        if seconds is None:
            raise TypeError("seconds must be a number, not None")
        check_timeout(seconds)
        self.seconds = seconds
        self.when = get_loop().clock() + seconds
        self.value = value

    def _attempt(self) -> Any:
        return self.value if get_loop().clock() >= self.when else NOTHING

    def _join(self, option: _Option) -> None:
        option.timer = get_loop().add_timer(Timer(self.when, option, (None,)))

    def _leave(self, option: _Option) -> None:
        if option.timer is not None:
            option.timer.cancel()

    def _accept(self) -> Any:
        return self.value

    def _decline(self) -> None:
        pass

    def __repr__(self) -> str:
        return f"After({self.seconds!r})"


class _Ready:
    """Anything with ready() and rawlink(): an event, a task."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def _attempt(self) -> Any:
        return self._accept() if self.thing.ready() else NOTHING

    def _join(self, option: _Option) -> None:
        self.thing.rawlink(option)

    def _leave(self, option: _Option) -> None:
        self.thing.unlink(option)

    def _accept(self) -> Any:
        get = getattr(self.thing, "get", None)
        return True if get is None else get(block=False)

    def _decline(self) -> None:
        pass

    def __repr__(self) -> str:
        return repr(self.thing)


class _Acquire:
    """A semaphore: acquire()."""

    __slots__ = ("semaphore",)

    def __init__(self, semaphore: Semaphore) -> None:
        self.semaphore = semaphore

    def _attempt(self) -> Any:
        return True if self.semaphore.acquire(blocking=False) else NOTHING

    def _join(self, option: _Option) -> None:
        self.semaphore._line()._waiters.append(option)
        if self.semaphore.counter:
            self.semaphore._hand_over()

    def _leave(self, option: _Option) -> None:
        _remove(self.semaphore._line()._waiters, option)

    def _accept(self) -> Any:
        return True  # it has been handed over

    def _decline(self) -> None:
        self.semaphore.release()

    def __repr__(self) -> str:
        return repr(self.semaphore)


_KINDS = (Get, Put, After, _Acquire, _Ready)


class _Option:
    """What stands in line for a case; also the callback of a link or timer."""

    __slots__ = ("case", "choice", "item", "number", "timer", "waiter")

    _handle = _thread = None  # not a coroutine: see claim() of exchange.py, and WaitQueue.pop()

    def __init__(self, choice: _Choice, waiter: Any, number: int, case: Any) -> None:
        self.choice = choice
        self.waiter = waiter
        self.number = number
        self.case = case
        self.item: Any = None
        self.timer: Any = None

    def claim(self) -> bool:
        """Is it the one that is chosen? Then wake `waiter`. Never that of one that does not go on:
        after a fork, the parent's."""
        return self.waiter._handle is not None and self.choice.decide(self.number)

    def __call__(self, source: Any) -> None:
        if self.claim():
            wake(self.waiter)


_NONE = -1  # the decision where the wait is broken off


class _Choice:
    """What the chooser waits for. Knows options by their numbers, for they have this."""

    __slots__ = ("_cases", "_decision")

    def __init__(self, cases: Sequence[Any]) -> None:
        self._cases = cases
        self._decision: dict[None, int] = {}

    def decide(self, number: int) -> bool:
        """Is it this one? The first to ask is told so, in one step for other threads."""
        return self._decision.setdefault(None, number) == number

    @property
    def decided(self) -> int | None:
        return self._decision.get(None)

    def forget(self, waiter: Any) -> bool:
        return self.decide(_NONE)

    def __repr__(self) -> str:
        return f"<choose() among {len(self._cases)}: {', '.join(map(repr, self._cases))}>"


@defer_interrupt
def choose(
    *cases: Any, timeout: float | None = None, default: Any = None, in_order: bool = False
) -> tuple[int | None, Any]:
    """Waits until one of the cases is possible, does that one and none of the others, and gives its
    number, counted from 0, and its value. After `timeout` seconds it gives None and `default`; 0
    means not to wait at all.

        which, value = choose(jobs, Put(results, answer), stop, timeout=1.0)

    A case is a queue or channel, or Get() of one: to get an item; Put(queue, item); After(seconds);
    a semaphore: to acquire it, value True; a task, AsyncResult, Event or anything else that has
    ready() and rawlink(): its value is what its get() gives, or True if it has none.

    Where several are possible it is one of them at random, so that none is left out for long; with
    `in_order`, the first of them. Who waits in it stands in line with those who wait for that one
    thing alone.

    Errors: what the case raises that is done, as ShutDown, or a task's error; TypeError for what is
    no case; ValueError for no case and no time limit; TypeError, ValueError for a timeout that is
    no number. Where it is killed, nothing was done; but a channel's item may just have been taken.
    """
    check_timeout(timeout)
    if not cases and timeout is None:
        raise ValueError("choose() without a case or a timeout would wait forever")
    kinds = [_case_of(case) for case in cases]
    limit = None
    while True:
        number, value = _attempt(kinds, in_order)
        if number is not None:
            return number, value
        if timeout is not None:
            now = get_loop().clock()
            if limit is None:
                limit = now + timeout
            if now >= limit:
                return None, default
            timeout = limit - now
        option = _wait(kinds, timeout)
        if option is None:
            return None, default
        value = option.case._accept()
        if value is not NOTHING:
            return option.number, value


def _attempt(cases: Sequence[Any], in_order: bool) -> tuple[int | None, Any]:
    """Does one of those that are possible now."""
    left = list(range(len(cases)))
    while left:
        if in_order:
            number = left.pop(0)
        else:
            at = int(_random() * len(left))
            left[at], left[-1] = left[-1], left[at]
            number = left.pop()
        value = cases[number]._attempt()
        if value is not NOTHING:
            return number, value
    return None, None


def _wait(cases: Sequence[Any], timeout: float | None) -> _Option | None:
    """The option that was claimed; None where the time was over first."""
    loop = get_loop()
    choice = _Choice(cases)
    waiter = loop.enlist(choice)
    options = []
    in_line = False
    try:
        for number, case in enumerate(cases):
            option = _Option(choice, waiter, number, case)
            options.append(option)
            case._join(option)
            if choice.decided is not None:
                break
        in_line = True
        if not pass_on_until(loop, waiter, choice, timeout):
            return None
    except BaseException:
        if not in_line:
            loop._break_off()
        decided = choice.decided
        if decided is not None and decided != _NONE:
            cases[decided]._decline()
        raise
    finally:
        for option in options:
            option.case._leave(option)
    decided = choice.decided  # None where somebody has used a plain switch()
    return None if decided is None else options[decided]


def _case_of(case: Any) -> Any:
    if isinstance(case, _KINDS):
        return case
    if isinstance(case, Exchange):
        return Get(case)
    if isinstance(case, Semaphore):
        return _Acquire(case)
    if all(hasattr(case, name) for name in ("ready", "rawlink", "unlink")):
        return _Ready(case)
    raise TypeError(
        "a case must be a queue, Get(), Put(), After(), or have ready() and rawlink(), as tasks "
        f"and events: not {type(case).__name__}"
    )


def _check_queue(queue: Any) -> Exchange:
    if not isinstance(queue, Exchange):
        raise TypeError(f"a queue or channel was expected, not {type(queue).__name__}")
    return queue


def _remove(line: Any, option: _Option) -> None:
    try:
        line.remove(option)
    except ValueError:  # it has been taken out
        pass

"""What a TaskGroup raises in the end, of all that has been raised in its tasks and in its block."""

from __future__ import annotations

from typing import Any

from .errors import Cancelled, CoroutineExit

# What ends a program, and is never packed into a group: the first one goes on, others are told of.
SYSTEM = (KeyboardInterrupt, SystemExit)


def without_expected(error: BaseException, scope: Any) -> BaseException | None:
    """What of a task's error is one. A kill is none, nor is what `scope`, the group's, and those
    around it have raised."""

    def is_expected(error: BaseException) -> bool:
        if not isinstance(error, Cancelled):
            return isinstance(error, CoroutineExit)
        outer = scope
        while outer is not None and outer is not error.scope:
            outer = outer._parent
        return outer is not None

    if isinstance(error, BaseExceptionGroup):
        return error.split(is_expected)[1]
    return None if is_expected(error) else error


def choose(
    group: Any, loop: Any, errors: list[BaseException], passing: list[BaseException]
) -> BaseException:
    """`errors` were raised in there; what is `passing` came from outside, for somebody outside:
    kills, Timeouts, outer scopes' Cancelled. Errors come first, together. What cannot be raised now
    is raised in this coroutine's next wait."""
    everything = errors + passing
    for error in everything:
        if isinstance(error, SYSTEM):
            for other in everything:
                if other is not error and not isinstance(other, Cancelled | CoroutineExit):
                    loop.tell_error(group, other)
            return error
    kills: list[BaseException] = [one for one in passing if isinstance(one, CoroutineExit)]
    others = [one for one in passing if not isinstance(one, Cancelled | CoroutineExit)]
    if errors:
        loop.put_off(kills)
        return BaseExceptionGroup(f"errors in {group!r}", errors + others)
    chosen = (others or kills or passing)[0]  # the kill last, for who raised the others is nearer
    loop.put_off([one for one in others + kills if one is not chosen])
    return chosen

"""Who waits for what, since where, and who would have to do something about it.

Found by looking at suspended coroutines: the outermost of their frames that is ours says what they
wait for, the next one where. An object that waiters wait for may have `_blockers(waiter)`: who has
to go on before it can. RLock and Condition do; a task blocks those that join it; holders of a
semaphore are guessed by holding.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from . import _native
from .coroutine import Coroutine
from .holding import Sources

_STDLIB = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120  # pathlib is not worth loading
_OTHERS = ("site-packages", "dist-packages")  # below it
_LONGEST = 200  # characters of an object's repr


class Wait:
    """One suspended coroutine. `call`: the function of ours it is in, "" where it waits for a
    switch(); `thing`: what that is a method of, or None; `place`: file, line and function;
    `blockers`: coroutines that must go on first, as far as is known."""

    __slots__ = ("blockers", "call", "coroutine", "frame", "place", "thing")

    def __init__(self, coroutine: Coroutine) -> None:
        self.coroutine = coroutine
        self.call = ""
        self.thing: Any = None
        frame: FrameType | None = _native.frame(coroutine)
        while frame is not None and _is_ours(frame):
            if frame.f_code.co_name not in ("switch", "_main"):
                self.call = frame.f_code.co_qualname.replace("__enter__", "acquire")
                self.call = self.call.replace("Ending.", "Task.")  # a part of Task
                self.thing = frame.f_locals.get("self", self.thing)
            frame = frame.f_back
        if self.thing is coroutine._thread.loop:
            self.thing = None
        self.thing = getattr(self.thing, "owner", self.thing)  # a WaitQueue's
        self.frame = frame
        self.place = _place(frame)
        if isinstance(self.thing, Coroutine):
            self.blockers = [self.thing]
        else:
            ask = getattr(type(self.thing), "_blockers", None)
            self.blockers = [] if ask is None else list(ask(self.thing, coroutine))

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for those that wait for the same at the same place."""
        return (self.call, id(self.thing), self.place, tuple(map(id, self.blockers)))


def _is_ours(frame: FrameType) -> bool:
    return bool(frame.f_globals.get("__package__") == __package__)


def _is_stdlib(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return path.startswith(_STDLIB) and not path.startswith(_OTHERS, len(_STDLIB))


def _place(frame: FrameType | None) -> str:
    """The innermost frame; where that is the standard library's, also who has called that."""
    if frame is None:
        return ""
    place = _line(frame)
    if _is_stdlib(frame):
        caller = frame.f_back
        while caller is not None and _is_stdlib(caller):
            caller = caller.f_back
        if caller is not None:
            place += f", called from {_line(caller)}"
    return place


def _line(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"


def describe(thing: Any) -> str:
    """Its repr, if that is short; a repr that fails is no reason to fail."""
    try:
        text = repr(thing)
    except Exception as error:
        return f"<{type(thing).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def name_of(coroutine: Coroutine) -> str:
    """As people call it: the kind, and the name it was given."""
    if coroutine._parent is None:
        return "the main program"
    return f"{type(coroutine).__name__} {coroutine.name!r}"


def look(coroutines: Iterable[Coroutine], most: int) -> list[Wait]:
    """The waits of the suspended ones among these, and of those that block them, of any thread;
    `most` at most."""
    waits: dict[Coroutine, Wait] = {}
    todo = list(coroutines)[::-1]
    while todo and len(waits) < most:
        coroutine = todo.pop()
        if coroutine not in waits and _native.is_suspended(coroutine):
            waits[coroutine] = wait = Wait(coroutine)
            todo += reversed(wait.blockers)
    found = list(waits.values())
    _guess_holders(found)
    return found


def _guess_holders(waits: list[Wait]) -> None:
    """Adds those that have what does not know who has it."""
    wanted = {id(wait.thing) for wait in waits if getattr(wait.thing, "ownerless", False)}
    if not wanted:
        return
    sources = Sources()
    holders: dict[int, list[Coroutine]] = {}
    for wait in waits:
        for value in _held(wait, sources):
            has = holders.setdefault(id(getattr(value, "_lock", value)), [])  # a Condition's
            if wait.coroutine not in has:
                has.append(wait.coroutine)
    for wait in waits:
        if id(wait.thing) in wanted:
            wait.blockers = holders.get(id(wait.thing), [])


def _held(wait: Wait, sources: Sources) -> Iterator[Any]:
    """What the coroutine seems to hold. Who waits for a Condition does not hold that; and the
    standard library's own Condition waits for a lock that it has just acquired."""
    given_back = set()
    if not getattr(wait.thing, "ownerless", False):
        given_back.add(id(wait.thing))
    frame = wait.frame
    while frame is not None:
        if _is_stdlib(frame):
            given_back.add(id(frame.f_locals.get("self")))
        else:
            for value in sources.held(frame, wait.thing):
                if id(value) not in given_back:
                    yield value
        frame = frame.f_back


def rings(waits: list[Wait]) -> Iterator[list[Wait]]:
    """Those that wait for each other, in a ring; no ring twice."""
    by_coroutine = {wait.coroutine: wait for wait in waits}
    over: set[Coroutine] = set()
    for start in waits:
        path: list[Wait] = []
        places: dict[Coroutine, int] = {}
        following = [iter([start.coroutine])]
        while following:
            step = next(following[-1], None)
            if step is None:
                following.pop()
                if path:
                    done = path.pop()
                    over.add(done.coroutine)
                    del places[done.coroutine]
            elif step in places:
                yield path[places[step] :]
            elif step not in over and step in by_coroutine:
                wait = by_coroutine[step]
                places[step] = len(path)
                path.append(wait)
                following.append(iter(wait.blockers))

"""spawn_raw(): coroutines of the loop that nobody can join, link to, or have a result of.

Their errors are reported as those of tasks. Links run in such.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

from . import _native
from .ancestry import Spawned, recording
from .coroutine import Coroutine
from .errors import CoroutineExit
from .loop import Loop, get_loop

_current = _native.current


class RawTask(Spawned, Coroutine):
    """What spawn_raw() gives. `loop`: that runs it."""

    __slots__ = ("loop", "spawning_greenlet")

    def __init__(self, loop: Loop, run: Callable[[], Any], name: str) -> None:
        super().__init__(partial(_call, run), loop, name=name)
        self.loop = loop
        here = _current()
        self.spawning_greenlet = ref(here)
        if recording.on:
            recording.record(self, here)

    def __bool__(self) -> bool:
        """Has it not ended?"""
        return not self.dead

    def fail(self, error: BaseException) -> None:
        """It could not be started, or was killed before. For the loop."""
        self._entry = self._context = None
        self.loop.tell_error(self, error)


def _call(run: Callable[[], Any]) -> None:
    try:
        run()
    except CoroutineExit:
        pass
    except BaseException as error:
        here = _current()
        here.loop.tell_error(here, error)


def _make(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> RawTask:
    if not callable(function):
        raise TypeError(f"the function must be callable, not {type(function).__name__}")
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return RawTask(get_loop(), partial(function, *args, **kwargs), name)


def spawn_raw(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> RawTask:
    """Has the loop call function(*args, **kwargs) in a coroutine of its own, when its turn comes.
    Errors: TypeError for what is not callable."""
    raw = _make(function, args, kwargs)
    raw.loop.ready.append(raw)
    return raw


def call_raw(function: Callable[..., Any], /, *args: Any) -> None:
    """Calls it in a coroutine of its own at once, until that waits: in a callback of the loop."""
    raw = _make(function, args, {})
    if _current() is raw.loop:
        raw.switch()
    else:
        raw.loop.ready.append(raw)

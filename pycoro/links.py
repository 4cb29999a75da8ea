"""What is called when something has ended: links, under gevent's names.

Three kinds: rawlink()'s are called in the loop, one after another, and must not wait; link()'s get
a coroutine of their own each; observers are the runtime's own and are told at once, wherever the
end takes place. Links are the rawlink()s of what any thread may tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _native
from .loop import Loop, get_loop
from .raw import call_raw
from .wakeup import defer_interrupt

_current = _native.current


class SpawnedLink:
    """A link that calls `callback` in a coroutine of its own. Equal to its callback."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[Any], Any]) -> None:
        self.callback = check_callback(callback)

    def __call__(self, source: Any) -> None:
        call_raw(self.callback, source)

    def __eq__(self, other: object) -> bool:
        return bool(self.callback == getattr(other, "callback", other))

    def __hash__(self) -> int:
        return hash(self.callback)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.callback!r}>"


class SuccessSpawnedLink(SpawnedLink):
    """Called only where `source` has ended without an error."""

    __slots__ = ()

    def __call__(self, source: Any) -> None:
        if source.successful():
            super().__call__(source)


class FailureSpawnedLink(SpawnedLink):
    """Called only where `source` has ended by an error."""

    __slots__ = ()

    def __call__(self, source: Any) -> None:
        if not source.successful():
            super().__call__(source)


class Observer:
    """A link of the runtime's own. It is called in whatever coroutine the end takes place: it may
    wake others, and must neither wait nor call what is not the runtime's."""

    __slots__ = ()

    def __call__(self, source: Any) -> None:
        raise NotImplementedError


def check_callback(callback: Any) -> Any:
    """`callback` itself. Errors: TypeError for what is not callable."""
    if not callable(callback):
        raise TypeError(f"the callback must be callable, not {type(callback).__name__}")
    return callback


_Link = tuple[Callable[[Any], Any], Loop]


class Links:
    """Callbacks that are to be told, once each, of what they were linked to: callback(thing), in
    the loop of the thread that linked it. What is linked twice is called twice, as with gevent."""

    __slots__ = ("_due", "_links")

    def __init__(self) -> None:
        self._links: list[_Link] = []
        self._due: list[_Link] = []  # it has happened, and their loops are about to call them

    def __len__(self) -> int:
        return len(self._links)

    def loops(self) -> list[Loop]:
        """Those that callbacks are to be called in."""
        return [loop for _, loop in self._links.copy()]

    def add(self, callback: Callable[[Any], Any]) -> None:
        """Look after that whether it is to be called at once: publish, then recheck, as waiting.py
        has it. TypeError where it is not callable."""
        self._links.append((check_callback(callback), get_loop()))

    def discard(self, callback: Callable[[Any], Any]) -> None:
        """Does nothing where it is not there any more. It is not called then, also where others
        have been, of the same occasion."""
        for links in (self._links, self._due):
            for link in list(links):
                if link[0] == callback and self._take(links, link):
                    return

    @staticmethod
    def _take(links: list[_Link], link: _Link) -> bool:
        """False where it is not there any more: unlinked, or another thread calls it."""
        try:
            links.remove(link)
        except ValueError:
            return False
        return True

    @defer_interrupt
    def call(self, thing: Any) -> None:
        """Has all that are there called with `thing`, each when its loop's turn comes."""
        here = _current()
        loops: list[Loop] = []
        for link in list(self._due):
            if link[1].closed:  # it has ended before their turn
                self._take(self._due, link)
        for _ in range(len(self._links)):
            try:
                link = self._links.pop(0)
            except IndexError:  # another thread has taken some of them
                break
            if link[1].closed:  # it will not call any more
                continue
            self._due.append(link)
            if link[1] not in loops:
                loops.append(link[1])
        for loop in loops:
            if here is not None and here._thread is loop._thread:
                loop.post(self._call_due, loop, thing)
            else:
                loop.post_threadsafe(self._call_due, loop, thing)

    def _call_due(self, loop: Loop, thing: Any) -> None:
        for link in list(self._due):
            if link[1] is not loop:
                continue
            if not self._take(self._due, link):
                continue
            try:
                link[0](thing)
            except BaseException as error:
                loop.tell_error((link[0], thing), error)

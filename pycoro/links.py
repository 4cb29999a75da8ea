"""What is called when something has ended: links, under gevent's names.

Three kinds: rawlink()'s are called in the loop, one after another, and must not wait; link()'s get
a coroutine of their own each; observers are the runtime's own and are told at once, wherever the
end takes place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .raw import call_raw


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

"""Calling a function for many items side by side: what Group, Pool and ThreadPool have in common.

All of it is made of the pool's own spawn(), which may block while the pool is full. An error is
raised where its result is met, and is not reported elsewhere. Names are gevent's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .imap import IMap, IMapUnordered, attempt, outcome
from .task import Task

Function = Callable[..., Any]


class MappingMixin:
    """For pools whose spawn(function, *args, **kwargs) gives a Task or an AsyncResult."""

    __slots__ = ()

    # ---- what a pool has to say ----

    def spawn(self, function: Function, /, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _is_member(self) -> bool:
        """Is the caller one of the pool's own calls? A full pool must not wait for itself."""
        raise NotImplementedError

    def _may_block(self) -> bool:
        """May spawn() wait for a place just now?"""
        raise NotImplementedError

    def _call_back(self, callback: Function, result: Any) -> None:
        raise NotImplementedError

    # ---- one call ----

    def apply(
        self,
        func: Function,
        args: Sequence[Any] | None = None,
        kwds: Mapping[str, Any] | None = None,
    ) -> Any:
        """func(*args, **kwds), called in the pool. Where one of the pool's own calls asks for it,
        it is called right here, for the pool may be full of such. Errors: those of func."""
        if self._is_member():
            return func(*(args or ()), **(kwds or {}))
        return self.spawn(func, *(args or ()), **(kwds or {})).get()

    def apply_cb(
        self,
        func: Function,
        args: Sequence[Any] | None = None,
        kwds: Mapping[str, Any] | None = None,
        callback: Function | None = None,
    ) -> Any:
        """Like apply(), and callback(result) is called unless there is an error: in a new task
        by Group and Pool, before this returns by ThreadPool."""
        result = self.apply(func, args, kwds)
        if callback is not None:
            self._call_back(callback, result)
        return result

    def apply_async(
        self,
        func: Function,
        args: Sequence[Any] | None = None,
        kwds: Mapping[str, Any] | None = None,
        callback: Function | None = None,
    ) -> Task:
        """A task that does as apply_cb() does. This never blocks; where the pool is full the task
        is none of its members."""
        if self._may_block():
            return Task.spawn(self.apply_cb, func, args, kwds, callback)
        task: Task = self.spawn(func, *(args or ()), **(kwds or {}))
        if callback is not None:
            task.rawlink(_PassOn(self._call_back, callback))
        return task

    # ---- many ----

    def map(self, func: Function, iterable: Iterable[Any]) -> list[Any]:
        """[func(item) for item in iterable], where the calls run side by side. The first error, in
        the order of the items, is raised as soon as all results before it are there; other calls
        go on then, as they do where the caller is killed."""
        calls = [self.spawn(attempt, func, item) for item in iterable]
        calls.reverse()
        results = []
        try:
            while calls:
                results.append(outcome(calls.pop()))
        finally:
            calls.clear()  # an error's traceback holds this frame
        return results

    def map_cb(
        self, func: Function, iterable: Iterable[Any], callback: Function | None = None
    ) -> list[Any]:
        """Like map(); callback(results) is called unless there is an error."""
        results = self.map(func, iterable)
        if callback is not None:
            callback(results)
        return results

    def map_async(
        self, func: Function, iterable: Iterable[Any], callback: Function | None = None
    ) -> Task:
        """A task that does as map_cb() does."""
        return Task.spawn(self.map_cb, func, iterable, callback)

    def imap(self, func: Function, *iterables: Iterable[Any], maxsize: int | None = None) -> IMap:
        """An iterator over func(*items) for the items of the iterables side by side, in their
        order. Calls begin at once, and go on while the pool has room and at most `maxsize` results
        are waiting to be taken, or on their way (None: any number)."""
        return IMap(func, zip(*iterables, strict=False), self.spawn, maxsize)

    def imap_unordered(
        self, func: Function, *iterables: Iterable[Any], maxsize: int | None = None
    ) -> IMapUnordered:
        """Like imap(), but in the order in which the calls end."""
        return IMapUnordered(func, zip(*iterables, strict=False), self.spawn, maxsize)


class _PassOn:
    """A link that passes on the result of a task that has succeeded."""

    __slots__ = ("call_back", "callback")

    def __init__(self, call_back: Callable[[Function, Any], None], callback: Function) -> None:
        self.call_back = call_back
        self.callback = callback

    def __call__(self, task: Any) -> None:
        if task.successful():
            self.call_back(self.callback, task.value)

"""Results as they come: the iterators of imap() and imap_unordered().

A task of its own, the feeder, takes items and has the pool call the function for them; how far it
may be ahead of the consumer is up to the pool's size and to `maxsize`. It ends when the iterator is
dropped or closed, so an endless supply of items is no trouble; calls under way end by themselves.

An error of the function is raised where the iteration meets that result, and the iteration can go
on after it; one of the items, after all results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from sys import is_finalizing
from typing import Any

from .errors import CoroutineExit
from .links import Observer
from .loop import Loop
from .sleeping import sleep
from .task import Task
from .waiting import WaitQueue

# The task's own affair, and the main program's.
_NOT_CAUGHT: tuple[type[BaseException], ...] = (CoroutineExit, *Loop.SYSTEM_ERROR)

_TURN = 64  # items between two turns for the others, who might take results


class Failure:
    """The result of a call that has failed."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error: Any = error  # until it is raised


def attempt(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), or a Failure: the task that runs this does not fail, and so its error is not
    reported, but is for whoever gets the results."""
    try:
        return function(*args)
    except _NOT_CAUGHT:
        raise
    except BaseException as error:
        return Failure(error)


def outcome(call: Any) -> Any:
    """The result of a Task or AsyncResult that has run attempt(), waiting for it; or raises the
    error. One that was killed gives its CoroutineExit, as with get()."""
    value = call.get()
    if type(value) is not Failure:
        return value
    # The error's traceback is going to hold this frame, and holds the one that value was made in.
    error, value.error = value.error, None
    del call, value
    try:
        raise error
    finally:
        del error


class _Feed(Observer):
    """What an iterator and its feeder share. `spawn(attempt, function, *item)` gives something
    that has ready(), rawlink(), value and exception; this is what is linked to it."""

    __slots__ = (
        "_arrivals",
        "_calls",
        "_claims",
        "_ended",
        "_error",
        "_function",
        "_items",
        "_limit",
        "_room",
        "_sent",
        "_spawn",
        "_stopped",
        "_task",
    )

    def __init__(
        self,
        spawn: Callable[..., Any],
        function: Callable[..., Any],
        items: Iterator[tuple[Any, ...]],
        limit: int | None,
    ) -> None:
        self._spawn = spawn
        self._function = function
        self._items = items
        self._limit = limit
        self._calls: deque[Any] = deque()  # whose results have not been taken
        self._claims = 0  # results that have been taken, or are wanted just now
        self._sent = 0
        self._ended = False  # there are no more items
        self._stopped = False  # nobody wants any
        self._error: BaseException | None = None  # that of the items
        self._arrivals = WaitQueue()  # consumers
        self._room = WaitQueue()  # the feeder
        self._task: Task | None = Task.spawn(self._run)

    # ---- the feeder's side ----

    def _run(self) -> None:
        try:
            while not self._stopped:
                while not self._may_send():
                    self._room.wait_unless(self._may_send)
                try:
                    item = next(self._items)
                except StopIteration:
                    return
                self._send(item)
                del item
                self._sent += 1
                if self._sent % _TURN == 0:
                    sleep(0)
        except CoroutineExit:
            raise
        except BaseException as error:
            self._error = error
            if isinstance(error, _NOT_CAUGHT):
                raise
        finally:
            self._ended = True
            self._task = None
            self._tell()

    def _may_send(self) -> bool:
        return self._limit is None or self._sent < self._limit + self._claims

    def _send(self, item: tuple[Any, ...]) -> None:
        raise NotImplementedError

    def _tell(self) -> None:
        self._arrivals.wake_all()

    # ---- the consumer's side ----

    def next(self) -> Any:
        """The next call that has ended, waiting for it; StopIteration, or the error of the items,
        where there is no more."""
        self._claims += 1
        if self._limit is not None:
            self._room.wake_all()
        try:
            while (call := self._take()) is None:
                if self._is_over():
                    error, self._error = self._error, None
                    try:
                        raise StopIteration if error is None else error
                    finally:
                        del error  # it holds this frame
                self._wait()
        except BaseException:
            self._claims -= 1
            raise
        return call

    def _take(self) -> Any:
        """One that has ended, or None."""
        raise NotImplementedError

    def _is_over(self) -> bool:
        """Will there be no more?"""
        raise NotImplementedError

    def _wait(self) -> None:
        """Until something has changed."""
        raise NotImplementedError

    def stop(self) -> None:
        """No more calls are made, and results that are there are dropped. From any thread."""
        task, self._task = self._task, None
        if task is not None and not task.ready():
            task._loop.post_threadsafe(task.kill, CoroutineExit, False)
        self._stopped = True
        self._calls.clear()
        self._tell()

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", self._function)
        return f"<results of {name}: {len(self._calls)} to be taken>"


class _InOrder(_Feed):
    """_calls: as they were made."""

    __slots__ = ()

    def _send(self, item: tuple[Any, ...]) -> None:
        self._calls.append(self._spawn(attempt, self._function, *item))
        self._tell()

    def __call__(self, call: Any) -> None:
        self._tell()

    def _take(self) -> Any:
        calls = self._calls
        return calls.popleft() if calls and calls[0].ready() else None

    def _is_over(self) -> bool:
        return self._stopped or (self._ended and not self._calls)

    def _wait(self) -> None:
        if not self._calls:
            self._arrivals.wait_unless(lambda: bool(self._calls) or self._is_over())
            return
        first = self._calls[0]
        first.rawlink(self)
        try:
            self._arrivals.wait_unless(first.ready)
        finally:
            first.unlink(self)


class _AsTheyEnd(_Feed):
    """_calls: those that have ended."""

    __slots__ = ("_running",)

    def __init__(self, *args: Any) -> None:
        self._running = 0
        super().__init__(*args)

    def _send(self, item: tuple[Any, ...]) -> None:
        self._running += 1
        try:
            self._spawn(attempt, self._function, *item).rawlink(self)
        except BaseException:
            self._running -= 1
            raise

    def __call__(self, call: Any) -> None:
        if not self._stopped:
            self._calls.append(call)
        self._running -= 1
        self._tell()

    def _take(self) -> Any:
        return self._calls.popleft() if self._calls else None

    def _is_over(self) -> bool:
        return self._stopped or (self._ended and not self._running and not self._calls)

    def _wait(self) -> None:
        self._arrivals.wait_unless(lambda: bool(self._calls) or self._is_over())


class IMapUnordered:
    """Results as they come. An iterator that any number of tasks may take from; dropping it, or
    close(), ends what feeds it.

    function, iterable: of tuples of arguments. spawn: a pool's. maxsize: how many results, and
    calls that are going to be some, may be waiting for a consumer. Errors: TypeError, ValueError
    for what is none.
    """

    __slots__ = ("__weakref__", "_feed")

    _kind: type[_Feed] = _AsTheyEnd

    def __init__(
        self,
        function: Callable[..., Any],
        iterable: Iterable[tuple[Any, ...]],
        spawn: Callable[..., Any],
        maxsize: int | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"the function must be callable, not {type(function).__name__}")
        if maxsize is not None and not isinstance(maxsize, int):
            raise TypeError(f"maxsize must be an int or None, not {type(maxsize).__name__}")
        if maxsize is not None and maxsize < 0:
            raise ValueError(f"maxsize must not be negative, but it is {maxsize}")
        self._feed = self._kind(spawn, function, iter(iterable), maxsize or None)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        call = self._feed.next()
        try:
            return outcome(call)
        except StopIteration as error:  # it would look like the end of the results
            raise RuntimeError("the function raised StopIteration") from error
        finally:
            del call

    def close(self) -> None:
        """No more items are taken, and no more results given. From any thread."""
        self._feed.stop()

    def __del__(self, finalizing: Callable[[], bool] = is_finalizing) -> None:
        if hasattr(self, "_feed") and not finalizing():
            self._feed.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._feed!r}>"


class IMap(IMapUnordered):
    """The same, in the order of the items."""

    __slots__ = ()

    _kind = _InOrder

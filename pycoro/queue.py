"""Queues under gevent's names, for coroutines of any threads' loops and for plain threads at once.

SimpleQueue is simplequeue.py's, Channel is channel.py's; import them from here. Queue counts what
is to be done with its items, and can be shut down; JoinableQueue is another name of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any

from .channel import Channel
from .checks import check_timeout
from .exchange import NOTHING, Empty, Full, Limit, ShutDown, check_blocking, take_first, within
from .loop import get_loop
from .simplequeue import SimpleQueue
from .timeout import Timeout
from .waiting import pass_on_until, wake
from .wakeup import defer_interrupt

__all__ = [
    "Channel",
    "Empty",
    "Full",
    "JoinableQueue",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "ShutDown",
    "SimpleQueue",
]


__implements__ = ["SimpleQueue"]  # the stdlib's others are made of locks, which are replaced


class Queue(SimpleQueue):
    """A SimpleQueue that counts how much of what was put is done, for join(): by task_done(). And
    it can be shut down. `unfinished_tasks`: what is to be done from the start; default, all items
    that are there."""

    __slots__ = ("_joiners", "unfinished_tasks")

    def __init__(
        self,
        maxsize: int | None = None,
        items: Iterable[Any] = (),
        unfinished_tasks: int | None = None,
    ) -> None:
        self._joiners: deque[Any] = deque()  # who waits in join()
        super().__init__(maxsize, items, _warn_depth=3)
        self.unfinished_tasks: int = unfinished_tasks or self._qsize()

    def copy(self) -> Any:
        return type(self)(self.maxsize, self._items, self.unfinished_tasks)

    # Counted before it is put, for another thread may be done with it at once.

    @defer_interrupt
    def put(self, item: Any, block: bool = True, timeout: Limit = None) -> None:
        self.unfinished_tasks += 1
        self._items.append(item) if self._open else self._put_with_care(item, block, timeout)

    put.__doc__ = SimpleQueue.put.__doc__

    def _put_with_care(self, item: Any, block: bool, timeout: Limit) -> None:
        if timeout is not None and isinstance(timeout, Timeout):
            within(timeout, self._put_with_care, item, block, None)
            return
        try:
            if timeout is not None:
                check_blocking(block, timeout)
            SimpleQueue._attempt_put(self, item)
            return
        except Full:
            self._count_done()
            if not block:
                raise
        except BaseException:
            self._count_done()
            raise
        self._wait_to_put(item, timeout)

    def _attempt_put(self, item: Any) -> None:
        self.unfinished_tasks += 1
        try:
            super()._attempt_put(item)
        except BaseException:
            self._count_done()
            raise

    def _accept_put(self, item: Any) -> None:
        self.unfinished_tasks += 1
        try:
            super()._accept_put(item)
        except BaseException:
            self._count_done()
            raise

    # ---- what is to be done ----

    def task_done(self) -> None:
        """What one get() has given is done. ValueError where that is said more often than there
        were items."""
        if not self._count_done():
            raise ValueError("task_done() called too many times")

    def _count_done(self) -> bool:
        # One step for other threads.
        count, self.unfinished_tasks = (n := self.unfinished_tasks), n - (n > 0)
        if count == 1:
            self._release()
        return count > 0

    def _release(self) -> None:
        while (waiter := take_first(self._joiners)) is not None:
            wake(waiter)

    @defer_interrupt
    def join(self, timeout: float | None = None) -> bool:
        """Waits until task_done() has been called for all items, `timeout` seconds at most. False
        where the time was over first."""
        check_timeout(timeout)
        if not self.unfinished_tasks:
            return True
        loop = get_loop()
        waiter = loop.enlist(self)
        self._joiners.append(waiter)
        if not self.unfinished_tasks:
            self._release()
        return pass_on_until(loop, waiter, self, timeout)

    def _lines(self) -> tuple[deque[Any], ...]:
        return self.getters, self.putters, self._joiners

    # ---- shutting down ----

    @defer_interrupt
    def shutdown(self, immediate: bool = False) -> None:
        """From now on put() raises ShutDown, also where it waits already, and get() does when no
        items are left. With `immediate` none are left: they go, and count as done."""
        with self._mutex:
            self._limitless = self._open = False
            self.is_shutdown = True
        if immediate:
            self._clear()
        self._call_getters()
        self._let_in()

    def _clear(self) -> None:
        while self._take(False, 0) is not NOTHING:
            self._count_done()

    def _format(self) -> str:
        tasks = f" tasks={self.unfinished_tasks}" if self.unfinished_tasks else ""
        return super()._format() + tasks


JoinableQueue = Queue


class LifoQueue(Queue):
    """The last that was put is the first to be taken."""

    __slots__ = ()

    _atomic = True

    def _create_queue(self, items: Iterable[Any] = ()) -> Any:
        return list(items)

    def _get(self) -> Any:
        return self._items.pop()

    def _peek(self) -> Any:
        return self._items[-1]

    @defer_interrupt
    def get(self, block: bool = True, timeout: Limit = None) -> Any:
        if timeout is None:
            try:
                return self._items.pop() if self._free else self._get_with_care(block, None)
            except IndexError:
                if not self._atomic:  # a subclass's own
                    raise
        return self._get_with_care(block, timeout)

    get.__doc__ = SimpleQueue.get.__doc__


class PriorityQueue(Queue):
    """The least item is the first to be taken. Items are compared by `<`, and often are (priority,
    data). Where that raises, put() has put nothing and get() has taken nothing."""

    __slots__ = ()

    _atomic = False  # comparing may call methods of the items
    _short = True  # put() and get() of its own, that hold the mutex

    def _create_queue(self, items: Iterable[Any] = ()) -> Any:
        heap = list(items)
        heapify(heap)
        return heap

    def _put(self, item: Any) -> None:
        heap = self._items
        try:
            heappush(heap, item)
        except BaseException:
            _undo_push(heap, item)
            raise

    def _get(self) -> Any:
        heap = self._items
        least = heap[0]
        try:
            return heappop(heap)
        except BaseException:  # heappop() has dropped it
            heap.append(least)
            heap[0], heap[-1] = heap[-1], heap[0]
            raise

    @defer_interrupt
    def put(self, item: Any, block: bool = True, timeout: Limit = None) -> None:
        if self._open:
            with self._mutex:
                if self._open:
                    self._put(item)
                    self.unfinished_tasks += 1
                    return
        self.unfinished_tasks += 1
        self._put_with_care(item, block, timeout)

    put.__doc__ = SimpleQueue.put.__doc__

    @defer_interrupt
    def get(self, block: bool = True, timeout: Limit = None) -> Any:
        if self._free and timeout is None:
            with self._mutex:
                if self._free and self._items:
                    return self._get()
        return self._get_with_care(block, timeout)

    get.__doc__ = SimpleQueue.get.__doc__


def _undo_push(heap: list[Any], item: Any) -> None:
    """heappush() has left the item on its way from the end to the root, where a comparison failed:
    those that it went past go back down."""
    here = next(index for index in reversed(range(len(heap))) if heap[index] is item)
    path = []
    below = len(heap) - 1
    while below > here:
        path.append(below)
        below = (below - 1) >> 1
    for below in reversed(path):
        heap[here] = heap[below]
        here = below
    heap.pop()

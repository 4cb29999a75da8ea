"""Thread pools under gevent's names: ThreadPool of jobs.py, and the executor that has the interface
of concurrent.futures.

The executor's futures are the standard library's own, for wait(), as_completed(), asyncio and all
else that knows these. In a thread with a loop, result() and exception() let other tasks run
meanwhile; in any other they block the thread. submit() never waits.

Unlike the standard library's, the executor is not waited for at the interpreter's end: shut it
down, or use it in a with block.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent import futures
from concurrent.futures.thread import BrokenThreadPool
from contextvars import copy_context
from functools import partial
from itertools import count
from sys import is_finalizing
from typing import Any

from . import _native
from .jobs import ThreadPool, ThreadResult
from .links import Links
from .waiting import WaitQueue
from .workers import Crew, wait_for_threads

__all__ = ["Future", "ThreadPool", "ThreadPoolExecutor", "ThreadResult"]

_current = _native.current
_log = logging.getLogger("concurrent.futures")


class Future(futures.Future[Any]):
    """What submit() gives. pycoro's wait() takes it, too."""

    def __init__(self) -> None:
        super().__init__()
        self._is_over = False  # done(), without its lock
        self._waiting = WaitQueue(self)
        self._links = Links()

    def _tell(self) -> None:
        self._is_over = True
        self._waiting.wake_all()
        self._links.call(self)

    def set_result(self, result: Any) -> None:
        """For the executor."""
        super().set_result(result)
        self._tell()

    def set_exception(self, exception: BaseException | None) -> None:
        """For the executor."""
        super().set_exception(exception)
        self._tell()

    def cancel(self) -> bool:
        """It will not be begun. False where it has been."""
        is_cancelled = super().cancel()
        if is_cancelled:
            self._tell()
        return is_cancelled

    def result(self, timeout: float | None = None) -> Any:
        """What the call returns, or raises what that raises. Errors: TimeoutError after `timeout`
        seconds; CancelledError."""
        left = self._wait(timeout)
        try:
            return super().result(left)
        finally:
            del self  # an error holds this frame

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raises, or None. Errors: as result()."""
        return super().exception(self._wait(timeout))

    def _wait(self, timeout: float | None) -> float | None:
        """Waits in the loop, where there is one. Gives the time that is left to block for."""
        here = _current()
        loop = here._thread.loop if here is not None else None
        if loop is None or self._is_over:
            return timeout
        if timeout is not None and timeout < 0:
            timeout = 0  # over already, as the standard library has it, and its map() relies on
        wait_for_threads(self._waiting, self.ready, timeout)
        return 0

    # ---- what can be waited for ----

    def ready(self) -> bool:
        """done()"""
        return self._is_over

    def rawlink(self, callback: Callable[[Future], Any]) -> None:
        """Calls it once with the future, in the loop of the calling thread, soon after the end;
        add_done_callback() has it called in the worker."""
        self._links.add(callback)
        if self._is_over:
            self._links.call(self)

    def unlink(self, callback: Callable[[Future], Any]) -> None:
        """Undoes rawlink(); does nothing where there is nothing to undo."""
        self._links.discard(callback)


class _Job:
    """A call, and its future."""

    __slots__ = ("_call", "_error", "_is_cancelled", "_value", "future")

    def __init__(self, future: Future, call: Callable[[], Any]) -> None:
        self.future = future
        self._is_cancelled = False
        self._call: Any = call
        self._value: Any = None
        self._error: BaseException | None = None

    def call(self) -> None:
        call, self._call = self._call, None
        try:
            if self.future.set_running_or_notify_cancel():
                self._value = call()
            else:
                self._is_cancelled = True
        except BaseException as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # not us
            self._error = error
        finally:
            del self, call  # an error's frames lead back to this one

    def deliver(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self.future.set_exception(error)
        elif not self._is_cancelled:
            self.future.set_result(self._value)

    def fail(self, error: BaseException) -> None:
        """It could not be called."""
        if self._call is not None:
            self._call = None
            self._is_cancelled = not self.future.set_running_or_notify_cancel()
        if not self._is_cancelled:
            self._error = error

    def cancel(self) -> None:
        """It is not going to be called."""
        self.future.cancel()
        self.future.set_running_or_notify_cancel()  # tells wait() and as_completed()


class _Beginning:
    """What each worker does first: the initializer. The executor is broken when that fails."""

    def __init__(
        self, prefix: str, initializer: Callable[..., object] | None, arguments: Iterable[Any]
    ) -> None:
        self.prefix = prefix
        self.initializer = initializer
        self.arguments = tuple(arguments)
        self.numbers = count()
        self.crew: Crew
        self.error = ""  # what submit() says once it is broken

    def __call__(self) -> bool:
        if self.prefix:  # else do not make a Thread object: it would stay
            threading.current_thread().name = f"{self.prefix}_{next(self.numbers)}"
        if self.initializer is not None and not self.error:
            try:
                self.initializer(*self.arguments)
            except BaseException:
                _log.critical("Exception in initializer:", exc_info=True)
                self.error = "the initializer of a thread has failed: the executor is of no use"
        if self.error:
            for job in self.crew.withdraw_all():
                job.fail(BrokenThreadPool(self.error))
                job.deliver()
        return not self.error


class ThreadPoolExecutor(futures.ThreadPoolExecutor):
    """max_workers threads make calls. Parameters are the standard library's; each call has a copy
    of the contextvars of whoever submits it."""

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
    ) -> None:
        super().__init__(max_workers, thread_name_prefix, initializer, tuple(initargs))
        self._beginning = _Beginning(thread_name_prefix, initializer, initargs)
        plain = not thread_name_prefix and initializer is None
        self._crew = Crew(self._max_workers, begin=None if plain else self._beginning)
        self._beginning.crew = self._crew

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Has fn(*args, **kwargs) called in a thread. Errors: RuntimeError after shutdown(), or
        where no thread can be started; BrokenThreadPool where the initializer has failed."""
        if self._beginning.error:
            raise BrokenThreadPool(self._beginning.error)
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = Future()
        self._crew.submit(_Job(future, partial(copy_context().run, fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls are taken, and the threads end when none is left. With cancel_futures those
        that have not begun are cancelled. With wait, waits for the threads' end. Errors:
        RuntimeError where one of the calls would wait."""
        self._shutdown = True
        if cancel_futures:
            for job in self._crew.withdraw_all():
                job.cancel()
        self._crew.shrink(0)
        if wait:
            if self._crew.is_own_thread():
                raise RuntimeError("a call of an executor cannot wait for its own end")
            self._crew.wait_until_shrunk()

    kill = shutdown

    def __del__(self, finalizing: Callable[[], bool] = is_finalizing) -> None:
        if hasattr(self, "_crew") and not finalizing():
            self._crew.shrink(0)

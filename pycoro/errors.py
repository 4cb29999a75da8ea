"""The exceptions of pycoro. Each says what was wrong and what to do about it."""

from typing import Any


class CoroutineError(RuntimeError):
    """A switch that cannot be made: to another thread's coroutine, or to one whose thread has
    ended. The running coroutine goes on, and nothing has changed."""


class InvalidThreadUseError(CoroutineError):
    """Something that belongs to one thread's loop was used in another thread: gevent's name."""


class GreenletExit(BaseException):
    """What greenlet (PyPI) raises where CoroutineExit is raised here; greenlets of pycoro.greenlet
    get this one. Its base, so that code which waits for it sees a coroutine's end, too."""


GreenletExit.__module__ = "greenlet"


class CoroutineExit(GreenletExit):
    """Raised inside a suspended coroutine that is to end: its last reference has gone, its thread
    ends, or throw() was called without an exception. Not an Exception, so that `except Exception`
    lets it pass; a coroutine that ends by it gives it to its parent as a plain value."""

    unwinds = False  # has it been raised by the end of the coroutine's object, thread or process?


class LoopExit(Exception):
    """Raised in a thread's main program when it waits and nothing can ever run again: no task is
    ready, no timer is set, no descriptor is waited for."""


class Cancelled(BaseException):
    """Raised by each wait inside of a cancelled CancelScope until that has been left, which
    catches it. `scope`: which one. Not an Exception, so that `except Exception` lets it pass; who
    catches it for clean-up raises it again."""

    def __init__(self, scope: Any) -> None:
        super().__init__(scope)
        self.scope = scope

    def __str__(self) -> str:
        return f"in {self.scope!r}: {getattr(self.scope, 'why', 'no reason is known')}"


class BlockingSwitchOutError(RuntimeError, AssertionError):
    """A callback of the loop tried to wait. gevent's name; there it is an AssertionError."""


class InvalidSwitchError(RuntimeError, AssertionError):
    """A plain switch() led into a coroutine that waits for something else, in which this is raised.
    gevent's name; there it is an AssertionError."""


class ConcurrentObjectUseError(RuntimeError, AssertionError):
    """Two coroutines use something at once that is for one. gevent's name; there it is an
    AssertionError."""

"""The exceptions of pycoro. Each says what was wrong and what to do about it."""


class CoroutineError(RuntimeError):
    """A switch that cannot be made: to another thread's coroutine, or to one whose thread has
    ended. The running coroutine goes on, and nothing has changed."""


class GreenletExit(BaseException):
    """What greenlet (PyPI) raises where CoroutineExit is raised here; greenlets of pycoro.greenlet
    get this one. Its base, so that code which waits for it sees a coroutine's end, too."""


GreenletExit.__module__ = "greenlet"


class CoroutineExit(GreenletExit):
    """Raised inside a suspended coroutine that is to end: its last reference has gone, its thread
    ends, or throw() was called without an exception. Not an Exception, so that `except Exception`
    lets it pass; a coroutine that ends by it gives it to its parent as a plain value."""


class LoopExit(Exception):
    """Raised in a thread's main program when it waits and nothing can ever run again: no task is
    ready, no timer is set, no descriptor is waited for."""

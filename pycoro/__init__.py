"""Stackful coroutines for CPython: plain blocking code, tens of thousands of calls in flight."""

from pkgutil import extend_path

# In a source tree these files are the tree's, and the compiled module is the installed one's.
__path__ = extend_path(__path__, __name__)

from .coroutine import Coroutine, current, stack_size
from .errors import CoroutineError, CoroutineExit, LoopExit
from .loop import Hub, Loop, get_hub, get_loop
from .task import (
    Greenlet,
    GreenletExit,
    Task,
    getcurrent,
    sleep,
    spawn,
    spawn_later,
)
from .tasks import joinall, killall
from .timeout import Timeout, with_timeout

__all__ = [
    "Coroutine",
    "CoroutineError",
    "CoroutineExit",
    "Greenlet",
    "GreenletExit",
    "Hub",
    "Loop",
    "LoopExit",
    "Task",
    "Timeout",
    "current",
    "get_hub",
    "get_loop",
    "getcurrent",
    "joinall",
    "killall",
    "sleep",
    "spawn",
    "spawn_later",
    "stack_size",
    "with_timeout",
]

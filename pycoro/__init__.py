"""Stackful coroutines for CPython: plain blocking code, tens of thousands of calls in flight."""

from pkgutil import extend_path

# In a source tree these files are the tree's, and the compiled module is the installed one's.
__path__ = extend_path(__path__, __name__)

from os import fork
from sys import getswitchinterval, setswitchinterval

# These give each loop what is above it, or are there after `import gevent`, too.
from . import core as _core  # noqa: F401
from . import exceptions, hub  # noqa: F401
from . import jobs as _jobs  # noqa: F401
from . import resolver as _resolver  # noqa: F401
from .choice import choose
from .coroutine import Coroutine, current, stack_size
from .deadlines import (
    checkpoint,
    checkpoint_if_cancelled,
    current_effective_deadline,
    current_time,
    fail_after,
    fail_at,
    move_on_after,
    move_on_at,
)
from .errors import (
    BlockingSwitchOutError,
    Cancelled,
    ConcurrentObjectUseError,
    CoroutineError,
    CoroutineExit,
    InvalidSwitchError,
    InvalidThreadUseError,
    LoopExit,
)
from .forks import reinit
from .loop import Hub, Loop, get_hub, get_loop
from .nursery import TaskGroup
from .raw import spawn_raw
from .runner import run
from .scope import CancelScope
from .settings import config
from .signal import signal_handler
from .sleeping import idle, sleep
from .task import Greenlet, GreenletExit, Task, getcurrent, spawn, spawn_later
from .tasks import iwait, joinall, kill, killall, wait
from .timeout import Timeout, with_timeout

__all__ = [
    "BlockingSwitchOutError",
    "CancelScope",
    "Cancelled",
    "ConcurrentObjectUseError",
    "Coroutine",
    "CoroutineError",
    "CoroutineExit",
    "Greenlet",
    "GreenletExit",
    "Hub",
    "InvalidSwitchError",
    "InvalidThreadUseError",
    "Loop",
    "LoopExit",
    "Task",
    "TaskGroup",
    "Timeout",
    "checkpoint",
    "checkpoint_if_cancelled",
    "choose",
    "config",
    "current",
    "current_effective_deadline",
    "current_time",
    "fail_after",
    "fail_at",
    "fork",
    "get_hub",
    "get_loop",
    "getcurrent",
    "getswitchinterval",
    "idle",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "move_on_after",
    "move_on_at",
    "reinit",
    "run",
    "setswitchinterval",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "spawn_raw",
    "stack_size",
    "wait",
    "with_timeout",
]

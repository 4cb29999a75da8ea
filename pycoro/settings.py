"""`config`: what can be set for the whole process, under gevent's names.

Each has an environment variable, PYCORO_ and its name in capitals, that is read at import;
PYCORO_MONITOR=100 is short for a monitor of every loop that allows 100 milliseconds. Names of
gevent's that choose between its implementations can be set and have no effect: there is one loop
here, one resolver and one kind of thread pool.
"""

from __future__ import annotations

import os
from typing import Any

from .ancestry import recording
from .checks import check_seconds

_YES = {"1", "true", "on", "yes"}
_NO = {"", "0", "false", "off", "no"}

_WITHOUT_EFFECT = {
    "fileobject",
    "format_context",
    "libev_backend",
    "loop",
    "resolver",
    "threadpool",
}


class Config:
    """The settings. Errors of setting one: AttributeError for a name that does not exist, TypeError
    for a value of the wrong type."""

    _monitor_thread: bool
    _max_blocking_time: float
    _print_blocking_reports: bool

    def __init__(self) -> None:
        vars(self).update(dict.fromkeys(_WITHOUT_EFFECT))
        self.track_greenlet_tree = _flag("track_greenlet_tree", False)
        allowed = _number("monitor", 0.0) / 1000
        self.monitor_thread = _flag("monitor_thread", allowed > 0)
        self.max_blocking_time = _number("max_blocking_time", allowed or 0.1)
        self.print_blocking_reports = _flag("print_blocking_reports", True)

    @property
    def track_greenlet_tree(self) -> bool:
        """Is the stack to be kept that a task is spawned on: Task.spawning_stack? It costs more
        than the spawning. Default: no."""
        return recording.stacks

    @track_greenlet_tree.setter
    def track_greenlet_tree(self, wanted: bool) -> None:
        recording.stacks = _check_flag("track_greenlet_tree", wanted)
        recording.on = recording.on or recording.stacks

    @property
    def monitor_thread(self) -> bool:
        """Does every new loop get a monitor, as by monitor.start()? Default: no."""
        return self._monitor_thread

    @monitor_thread.setter
    def monitor_thread(self, wanted: bool) -> None:
        vars(self)["_monitor_thread"] = _check_flag("monitor_thread", wanted)

    @property
    def max_blocking_time(self) -> float:
        """Seconds that a coroutine may run before the monitor tells of it; 0: it tells of nothing.
        ValueError for less, and for what is no number. Default: 0.1."""
        return self._max_blocking_time

    @max_blocking_time.setter
    def max_blocking_time(self, seconds: float) -> None:
        vars(self)["_max_blocking_time"] = check_seconds(seconds, "max_blocking_time")

    @property
    def print_blocking_reports(self) -> bool:
        """Does the monitor tell on stderr, if it has not been given a function? Default: yes."""
        return self._print_blocking_reports

    @print_blocking_reports.setter
    def print_blocking_reports(self, wanted: bool) -> None:
        vars(self)["_print_blocking_reports"] = _check_flag("print_blocking_reports", wanted)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _WITHOUT_EFFECT and not isinstance(vars(Config).get(name), property):
            raise AttributeError(f"there is no setting {name!r}")
        object.__setattr__(self, name, value)


def _check_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def _flag(name: str, default: bool) -> bool:
    text = os.environ.get(f"PYCORO_{name.upper()}", "").lower()
    if text in _YES | _NO:
        return text in _YES if text else default
    raise ValueError(f"PYCORO_{name.upper()} must be 1 or 0, not {text!r}")


def _number(name: str, default: float) -> float:
    text = os.environ.get(f"PYCORO_{name.upper()}", "").strip()
    if not text:
        return default
    try:
        return check_seconds(float(text), name)
    except ValueError:
        raise ValueError(
            f"PYCORO_{name.upper()} must be a number from 0 on, not {text!r}"
        ) from None


config = Config()

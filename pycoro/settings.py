"""Settings of the whole process, under gevent's names: `pycoro.config`.

They are read when they are needed, so they can be changed at any time; what is already running by
its own parameters does not care. PYCORO_MONITOR in the environment, a number of milliseconds,
turns the monitor on for every loop (monitor.py); 0 leaves it off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

MONITOR = "PYCORO_MONITOR"


class Config:
    """`monitor_thread`: does every new loop get a monitor? `max_blocking_time`: for how many
    seconds a coroutine may run before the monitor tells of it; 0: the monitor tells of nothing.
    `print_blocking_reports`: does it tell on stderr? Errors: ValueError, TypeError for what cannot
    be meant; AttributeError for a setting that does not exist."""

    __slots__ = ("_max_blocking_time", "_monitor_thread", "_print_blocking_reports")

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._monitor_thread = False
        self._max_blocking_time = 0.1
        self._print_blocking_reports = True
        told = environment.get(MONITOR, "").strip()
        if told:
            self._read_monitor(told)

    def _read_monitor(self, told: str) -> None:
        try:
            milliseconds = float(told)
            if not 0 <= milliseconds < float("inf"):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{MONITOR} must be a number of milliseconds, such as 100, not {told!r}"
            ) from None
        if milliseconds:
            self._monitor_thread = True
            self._max_blocking_time = milliseconds / 1000

    @property
    def monitor_thread(self) -> bool:
        return self._monitor_thread

    @monitor_thread.setter
    def monitor_thread(self, on: Any) -> None:
        self._monitor_thread = bool(on)

    @property
    def max_blocking_time(self) -> float:
        return self._max_blocking_time

    @max_blocking_time.setter
    def max_blocking_time(self, seconds: float) -> None:
        self._max_blocking_time = check_seconds("max_blocking_time", seconds)

    @property
    def print_blocking_reports(self) -> bool:
        return self._print_blocking_reports

    @print_blocking_reports.setter
    def print_blocking_reports(self, on: Any) -> None:
        self._print_blocking_reports = bool(on)

    def __repr__(self) -> str:
        names = (name for name in dir(type(self)) if not name.startswith("_"))
        return f"<Config {', '.join(f'{name}={getattr(self, name)!r}' for name in names)}>"


def check_seconds(name: str, seconds: float) -> float:
    """`seconds` as a float. TypeError, ValueError: it is no time that can pass."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
    if not 0 <= seconds < float("inf"):  # NaN is neither
        raise ValueError(f"{name} must be a number of seconds from 0 on, not {seconds!r}")
    return float(seconds)


config = Config()

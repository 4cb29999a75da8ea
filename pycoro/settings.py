"""`config`: what can be set for the whole process, under gevent's names.

Each has an environment variable, PYCORO_ and its name in capitals, that is read at import. Names of
gevent's that choose between its implementations can be set and have no effect: there is one loop
here, one resolver and one kind of thread pool.
"""

from __future__ import annotations

import os
from typing import Any

from .ancestry import recording

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

    def __init__(self) -> None:
        vars(self).update(dict.fromkeys(_WITHOUT_EFFECT))
        self.track_greenlet_tree = _flag("track_greenlet_tree", False)

    @property
    def track_greenlet_tree(self) -> bool:
        """Is the stack to be kept that a task is spawned on: Task.spawning_stack? It costs more
        than the spawning. Default: no."""
        return recording.stacks

    @track_greenlet_tree.setter
    def track_greenlet_tree(self, wanted: bool) -> None:
        recording.stacks = _check_flag("track_greenlet_tree", wanted)
        recording.on = recording.on or recording.stacks

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


config = Config()

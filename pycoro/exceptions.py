"""gevent.exceptions' names, which are those of errors.py."""

from .errors import (
    BlockingSwitchOutError,
    ConcurrentObjectUseError,
    CoroutineExit,
    InvalidSwitchError,
    InvalidThreadUseError,
    LoopExit,
)
from .timeout import Timeout

GreenletExit = CoroutineExit

__all__ = [
    "BlockingSwitchOutError",
    "ConcurrentObjectUseError",
    "GreenletExit",
    "InvalidSwitchError",
    "InvalidThreadUseError",
    "LoopExit",
    "Timeout",
]

"""gevent.greenlet: the class of tasks, under gevent's name for the module."""

from ..links import FailureSpawnedLink, SpawnedLink, SuccessSpawnedLink
from ..task import Greenlet, getcurrent
from ..tasks import joinall, killall

__all__ = [
    "FailureSpawnedLink",
    "Greenlet",
    "SpawnedLink",
    "SuccessSpawnedLink",
    "getcurrent",
    "joinall",
    "killall",
]

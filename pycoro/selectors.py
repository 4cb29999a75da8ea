"""The stdlib's selectors, which let other tasks run while they wait: its classes over select.py."""

from __future__ import annotations

import selectors as _stdlib
from typing import Any

from . import select as _ours

EVENT_READ, EVENT_WRITE = _stdlib.EVENT_READ, _stdlib.EVENT_WRITE
BaseSelector, SelectorKey = _stdlib.BaseSelector, _stdlib.SelectorKey


class SelectSelector(_stdlib.SelectSelector):
    """As the stdlib's, over select()."""

    _select = staticmethod(_ours.select)


class PollSelector(_stdlib.PollSelector):
    """As the stdlib's, over poll()."""

    _selector_cls = _ours.poll


DefaultSelector: Any = PollSelector

if hasattr(_stdlib, "EpollSelector"):

    class EpollSelector(_stdlib.EpollSelector):
        """As the stdlib's, over epoll()."""

        _selector_cls = _ours.epoll

    DefaultSelector = EpollSelector

GeventSelector = DefaultSelector  # gevent's name for its own

__implements__ = ["DefaultSelector"]  # the others it changes where they are: see monkey
__all__ = [
    "EVENT_READ",
    "EVENT_WRITE",
    "BaseSelector",
    "DefaultSelector",
    "EpollSelector",
    "GeventSelector",
    "PollSelector",
    "SelectSelector",
    "SelectorKey",
]


def __getattr__(name: str) -> Any:
    if name in ("KqueueSelector", "DevpollSelector"):
        raise AttributeError(f"pycoro.selectors has no {name}: it would block all tasks")
    return getattr(_stdlib, name)

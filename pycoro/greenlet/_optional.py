"""What stands for the inside of PyPI's implementation, where there is none of the kind here.

PyPI's greenlet looks for lost greenlets of threads that have ended, and counts how long that took.
"""

from __future__ import annotations

import _thread
from typing import Any

_local = _thread._local()
_clocks: int | None = 0


def set_thread_local(key: Any, value: Any) -> None:
    """Keeps the value until the thread ends. For tests."""
    _local.__dict__[key] = value


def get_pending_cleanup_count() -> int:
    """Greenlets of ended threads that are not cleaned up yet: none."""
    return 0


def enable_optional_cleanup(flag: Any) -> None:
    """Has get_clocks_used_doing_optional_cleanup() say None, or a number."""
    global _clocks
    _clocks = 0 if flag else None


def get_clocks_used_doing_optional_cleanup() -> int | None:
    """The time it took: none. None where it is not enabled."""
    return _clocks

"""The stdlib's time module, whose sleep() lets other tasks run."""

from __future__ import annotations

import time as _stdlib
from typing import Any

from .task import sleep

__implements__ = ["sleep"]  # what monkey puts in the place of the stdlib's
__all__ = [*(name for name in dir(_stdlib) if not name.startswith("_")), "sleep"]


def __getattr__(name: str) -> Any:
    return getattr(_stdlib, name)

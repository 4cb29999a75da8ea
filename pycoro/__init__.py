"""Stackful coroutines for CPython: plain blocking code, tens of thousands of calls in flight."""

from .coroutine import Coroutine, current, stack_size
from .errors import CoroutineError, CoroutineExit

__all__ = ["Coroutine", "CoroutineError", "CoroutineExit", "current", "stack_size"]

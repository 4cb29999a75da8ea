"""Makes the stdlib's blocking modules cooperative: patch_all(), as early as possible.

Names are gevent.monkey's. `python -m pycoro.monkey program` runs a program so, unchanged; with
--audit, or by audit(), what blocks all the same is told of: blocked.py.
"""

from typing import Any

from .blocked import Audit
from .command import main
from .late import MonkeyPatchWarning
from .patching import (
    all_originals,
    audit,
    get_original,
    is_anything_patched,
    is_module_patched,
    is_object_patched,
    patch,
    patch_all,
    patch_builtins,
    patch_contextvars,
    patch_dns,
    patch_item,
    patch_module,
    patch_multiprocessing,
    patch_os,
    patch_queue,
    patch_select,
    patch_selectors,
    patch_signal,
    patch_socket,
    patch_ssl,
    patch_subprocess,
    patch_sys,
    patch_thread,
    patch_time,
    remove_item,
    report,
    unpatch_all,
)

__all__ = [
    "Audit",
    "MonkeyPatchWarning",
    "all_originals",
    "audit",
    "get_original",
    "is_anything_patched",
    "is_module_patched",
    "is_object_patched",
    "main",
    "patch",
    "patch_all",
    "patch_builtins",
    "patch_contextvars",
    "patch_dns",
    "patch_item",
    "patch_module",
    "patch_multiprocessing",
    "patch_os",
    "patch_queue",
    "patch_select",
    "patch_selectors",
    "patch_signal",
    "patch_socket",
    "patch_ssl",
    "patch_subprocess",
    "patch_sys",
    "patch_thread",
    "patch_time",
    "remove_item",
    "report",
    "unpatch_all",
]


def __getattr__(name: str) -> Any:
    """`saved` is all_originals(), under gevent's name: programs look whether it is empty."""
    if name == "saved":
        return all_originals()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

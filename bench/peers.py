"""What pycoro is measured against, on what machine: modules, versions, hardware.

A peer that is not installed here (gevent is late for new versions of Python, say) is None, and
what was to be measured is left out: the report says so. Everything is Any: peers have no types.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pycoro

MODULES = ("greenlet", "gevent", "uvloop")


def load(name: str) -> Any:
    """The module, or None where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


@dataclass(frozen=True)
class Switcher:
    """One of the two libraries whose coroutines switch explicitly. Their names differ, but not
    their use, so that both run the same code."""

    name: str
    make: Any  # make(run) gives an object with switch()
    current: Any

    def sized(self, stack_size: int) -> Switcher:
        """The same with stacks of that many bytes; greenlet's are the thread's own stack."""
        if self.name != "pycoro":
            return self

        def make(run: Any) -> Any:
            return pycoro.Coroutine(run, stack_size=stack_size)

        return Switcher(self.name, make, self.current)


PYCORO = Switcher("pycoro", pycoro.Coroutine, pycoro.current)


def switchers() -> list[Switcher]:
    """pycoro, and greenlet if it is here."""
    greenlet = load("greenlet")
    if greenlet is None:
        return [PYCORO]
    return [PYCORO, Switcher("greenlet", greenlet.greenlet, greenlet.getcurrent)]


def loop_factories() -> dict[str, Any]:
    """Event loops for coroutines of asyncio, by name."""
    factories: dict[str, Any] = {"asyncio": asyncio.new_event_loop}
    uvloop = load("uvloop")
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


def versions() -> dict[str, str]:
    """Of Python and of all that is measured; "not installed" for what is not."""
    found = {"Python": platform.python_version()}
    for name in ("pycoro", *MODULES):
        if name != "pycoro" and load(name) is None:
            found[name] = "not installed"
            continue
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "source tree"
    return found


def machine() -> dict[str, str]:
    """What the figures depend on; nothing that tells whose machine it is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "compiler of Python": platform.python_compiler(),
        "GIL": "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"

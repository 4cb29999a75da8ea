"""What the operating system grants and what the process takes of it: descriptors and memory.

Figures come from /proc (Linux). Nothing here knows coroutines.
"""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

SPARE_DESCRIPTORS = 40  # standard streams, the selector, the listener, imports under way
PER_CLIENT = 2  # descriptors: the client's end of a connection and the server's


def raise_descriptor_limit() -> int:
    """Raises the soft limit of open descriptors to the hard one, and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20  # what Linux allows at most, unless fs.nr_open was changed
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def most_clients(descriptors: int) -> int:
    """How many clients, with the server in the same process, fit under that limit."""
    return max(0, (descriptors - SPARE_DESCRIPTORS) // PER_CLIENT)


def used_memory() -> int:
    """Bytes of memory of the process: resident pages, and the page tables that map them."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * sum(int(fields[name].split()[0]) for name in ("VmRSS", "VmPTE"))


def describe() -> str:
    """One line: interpreter, system, processors."""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()} {platform.release()} {platform.machine()}, "
        f"{os.cpu_count()} processors"
    )

"""Makes the stdlib's blocking modules cooperative: patch_all(), as early as possible.

One table says what is replaced by what. A replaced name is only seen by who looks it up in its
module afterwards, as the module's own functions do: create_connection() need not be replaced where
`socket` is. Contexts of TLS are not replaced but told which sockets to make, so that those
made before, or imported by name, work as well.
"""

from __future__ import annotations

import importlib
from typing import Any

from . import dns, os, select, socket, ssl, subprocess, task

# patch -> (where, name, replacement); `where` is a module, or a class in one
TABLE: dict[str, list[tuple[str, str, Any]]] = {
    "socket": [
        ("socket", "socket", socket.socket),
        ("socket", "socketpair", socket.socketpair),
    ],
    "dns": [
        ("socket", "getaddrinfo", dns.getaddrinfo),
        ("socket", "gethostbyname", dns.gethostbyname),
        ("socket", "gethostbyname_ex", dns.gethostbyname_ex),
        ("socket", "gethostbyaddr", dns.gethostbyaddr),
        ("socket", "getnameinfo", dns.getnameinfo),
    ],
    "ssl": [
        ("ssl:SSLContext", "sslsocket_class", ssl.SSLSocket),
    ],
    "time": [
        ("time", "sleep", task.sleep),
    ],
    "select": [
        ("select", "select", select.select),
        ("select", "poll", select.poll),
        ("select", "epoll", select.epoll),
        ("selectors:PollSelector", "_selector_cls", select.poll),
        ("selectors:EpollSelector", "_selector_cls", select.epoll),
        ("selectors:SelectSelector", "_select", staticmethod(select.select)),
    ],
    "os": [
        ("os", "waitpid", os.waitpid),
    ],
    "subprocess": [
        ("subprocess", "Popen", subprocess.Popen),
    ],
}

_originals: dict[tuple[str, str], Any] = {}  # (where, name) -> what was there before


def patch(name: str) -> None:
    """Applies one part of the table; does nothing the second time. Errors: ValueError for a part
    that does not exist."""
    if name not in TABLE:
        raise ValueError(f"there is no patch {name!r}: choose from {', '.join(TABLE)}")
    for where, attribute, replacement in TABLE[name]:
        owner = _find(where)
        if (where, attribute) in _originals or attribute not in vars(owner):
            continue
        _originals[where, attribute] = vars(owner)[attribute]
        setattr(owner, attribute, replacement)


def patch_socket(dns: bool = True) -> None:
    """socket, and the look-up of names with it."""
    patch("socket")
    if dns:
        patch("dns")


def patch_dns() -> None:
    patch("dns")


def patch_ssl() -> None:
    patch("ssl")


def patch_time() -> None:
    """time.sleep"""
    patch("time")


def patch_select() -> None:
    """select.select, select.poll, select.epoll and the selectors."""
    patch("select")


def patch_os() -> None:
    """os.waitpid"""
    patch("os")


def patch_subprocess() -> None:
    """subprocess.Popen, and the functions that use it."""
    patch("subprocess")


def patch_all(
    socket: bool = True,
    dns: bool = True,
    time: bool = True,
    select: bool = True,
    ssl: bool = True,
    os: bool = True,
    subprocess: bool = True,
) -> None:
    """All of them, or those that are not excluded by False."""
    chosen = {"socket": socket, "dns": dns, "time": time, "select": select, "ssl": ssl, "os": os}
    chosen["subprocess"] = subprocess
    for name, wanted in chosen.items():
        if wanted:
            patch(name)


def unpatch_all() -> None:
    """Puts the originals back. For tests: who holds a replacement keeps it."""
    for (where, attribute), original in list(_originals.items()):
        setattr(_find(where), attribute, original)
        del _originals[where, attribute]


def get_original(module: str, name: str) -> Any:
    """What the module's name stood for before it was patched. Errors: AttributeError,
    ModuleNotFoundError."""
    if (module, name) in _originals:
        return _originals[module, name]
    return getattr(importlib.import_module(module), name)


def is_module_patched(module: str) -> bool:
    """Is any name of it replaced?"""
    return any(where.partition(":")[0] == module for where, _ in _originals)


def is_object_patched(module: str, name: str) -> bool:
    return (module, name) in _originals


def _find(where: str) -> Any:
    module, _, inner = where.partition(":")
    owner = importlib.import_module(module)
    return getattr(owner, inner) if inner else owner

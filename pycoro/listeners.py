"""Where a server listens: addresses as people write them, and the sockets for them.

An address is a tuple (host, port) as for AF_INET or AF_INET6, a port alone, "host:port",
"[v6]:port", or a path, which has a slash in it, for AF_UNIX ("unix:name" for one without). No host,
or "*", is all interfaces, by IPv6 and IPv4 where the system has both.
"""

from __future__ import annotations

import os
import socket as _stdlib
import stat
from pathlib import Path
from typing import Any

from .socket import has_dualstack_ipv6, socket

Address = tuple[Any, ...] | str


def parse_address(address: Any) -> tuple[int, Address]:
    """(family, what bind() takes). Errors: ValueError where it cannot be read, TypeError for what
    is no address at all."""
    if isinstance(address, tuple):
        if [type(part) for part in address[:2]] != [str, int]:
            raise TypeError(f"an address is a tuple (host, port), not {address!r}")
        return _family_of(address[0]), address
    if isinstance(address, int) and not isinstance(address, bool):
        return _family_of(""), ("", address)
    if isinstance(address, os.PathLike):
        return _stdlib.AF_UNIX, os.fspath(address)
    if not isinstance(address, str):
        raise TypeError(
            "a listener is an address tuple, a port, a string or a socket, "
            f"not {type(address).__name__}"
        )
    if address.startswith("unix:"):
        return _stdlib.AF_UNIX, address.removeprefix("unix:")
    if "/" in address:
        return _stdlib.AF_UNIX, address
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"Failed to parse address {address!r}: an IPv6 one needs [brackets]")
    if host == "*":
        host = ""
    try:
        number = int(port)
    except ValueError:
        raise ValueError(
            f"Failed to parse address {address!r}: {port!r} is no port"
            + ("" if colon else "; write host:port, or ./name for a Unix socket")
        ) from None
    return _family_of(host), (host, number)


def _family_of(host: str) -> int:
    if ":" in host or (not host and has_dualstack_ipv6()):
        return _stdlib.AF_INET6
    return _stdlib.AF_INET


def make_socket(
    address: Address,
    kind: int = _stdlib.SOCK_STREAM,
    *,
    family: int = _stdlib.AF_INET,
    backlog: int | None = None,
    reuse_addr: int | None = None,
    reuse_port: bool = False,
) -> socket:
    """A bound socket that does not block; with `backlog` it listens. A Unix socket's path is
    taken over from one that nobody listens at any more. Errors: OSError, with the address."""
    sock = socket(family, kind)
    try:
        if family == _stdlib.AF_UNIX:
            _clear_path(address, kind)
        elif reuse_addr is not None:
            sock.setsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_REUSEADDR, reuse_addr)
        if reuse_port:
            sock.setsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_REUSEPORT, 1)
        if family == _stdlib.AF_INET6 and not address[0]:
            sock.setsockopt(_stdlib.IPPROTO_IPV6, _stdlib.IPV6_V6ONLY, 0)
        try:
            sock.bind(address)
        except OSError as error:
            if error.strerror is not None:
                error.strerror += f": {address!r}"
            raise
        if backlog is not None:
            sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _clear_path(path: Any, kind: int) -> None:
    """Removes the socket file of a server that has ended."""
    if not _is_socket(path):
        return
    with _stdlib.socket(_stdlib.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        except OSError:  # somebody is there, or it is not ours to say
            pass


def _is_socket(path: Any) -> bool:
    if not path or str(path).startswith("\0"):
        return False
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError:
        return False


def remove_path(family: int, address: Any) -> None:
    """The file of a Unix socket that is about to be closed, if it has one."""
    try:
        if family == _stdlib.AF_UNIX and _is_socket(address):
            Path(address).unlink()
    except OSError:
        pass

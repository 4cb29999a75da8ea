"""Names and addresses: the stdlib's look-ups, which ask name servers in a thread meanwhile.

What the C library answers by itself (numbers, "localhost") it is asked at once. Each other look-up
gets a thread of its own, which ends with it.
"""

from __future__ import annotations

import _thread
import socket as _stdlib
from collections.abc import Callable
from typing import Any

from .loop import get_loop
from .wakeup import defer_interrupt

_start_thread = _thread.start_new_thread
_getaddrinfo = _stdlib.getaddrinfo
_gethostbyaddr = _stdlib.gethostbyaddr
_gethostbyname = _stdlib.gethostbyname
_gethostbyname_ex = _stdlib.gethostbyname_ex
_getnameinfo = _stdlib.getnameinfo

_FAMILIES = [_stdlib.AF_INET, *([_stdlib.AF_INET6] if _stdlib.has_ipv6 else [])]


def is_quick(host: Any) -> bool:
    """Does looking it up ask no server?"""
    if host is None or host in ("", "localhost", b"", b"localhost"):
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    for family in _FAMILIES:
        try:
            _stdlib.inet_pton(family, name.partition("%")[0])
            return True
        except (OSError, ValueError):
            pass
    return False


class _Call:
    """A call in a thread, and who waits for it."""

    __slots__ = ("error", "result", "waiter")

    def __init__(self) -> None:
        self.waiter: Any = None
        self.result: Any = None
        self.error: BaseException | None = None

    def forget(self, waiter: Any) -> bool:
        self.waiter = None
        return True


@defer_interrupt
def call_in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Calls it in a thread, and lets other tasks run until it returns. Breaking off the wait does
    not stop the call. Errors: what it raises; RuntimeError where no thread can be started."""
    loop = get_loop()
    call = _Call()

    def finish() -> None:
        loop.foreign -= 1
        if call.waiter is not None:
            loop.wake(call.waiter)

    def work() -> None:
        try:
            call.result = function(*args)
        except BaseException as error:
            call.error = error
        loop.call_soon_threadsafe(finish)

    _start_thread(work, ())
    loop.foreign += 1
    call.waiter = loop.enlist(call)
    loop.pass_on()
    if call.error is not None:
        raise call.error
    return call.result


def getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    """As the stdlib's."""
    call = (host, port, family, type, proto, flags)
    return _getaddrinfo(*call) if is_quick(host) else call_in_thread(_getaddrinfo, *call)


def gethostbyname(host: Any) -> Any:
    """As the stdlib's."""
    return _gethostbyname(host) if is_quick(host) else call_in_thread(_gethostbyname, host)


def gethostbyname_ex(host: Any) -> Any:
    """As the stdlib's."""
    return _gethostbyname_ex(host) if is_quick(host) else call_in_thread(_gethostbyname_ex, host)


def gethostbyaddr(host: Any) -> Any:
    """As the stdlib's: asks a server unless it is in the hosts file."""
    return call_in_thread(_gethostbyaddr, host)


def getnameinfo(address: Any, flags: int) -> Any:
    """As the stdlib's: asks a server unless NI_NUMERICHOST is among the flags."""
    if flags & _stdlib.NI_NUMERICHOST:
        return _getnameinfo(address, flags)
    return call_in_thread(_getnameinfo, address, flags)

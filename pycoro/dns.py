"""Names and addresses: the stdlib's look-ups, which ask name servers in a thread meanwhile.

What the C library answers by itself (numbers, "localhost") it is asked at once. Other look-ups are
made by the loop's thread pool, as many at a time as that has threads. The same question asked by
several tasks at the same time, in whatever threads, is asked once. Nothing is kept after that.
"""

from __future__ import annotations

import socket as _stdlib
from collections.abc import Callable
from typing import Any

from .event import AsyncResult
from .forks import in_child
from .jobs import ThreadPool
from .loop import get_loop

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


# Questions that a thread is asking just now. Whoever has the same one waits for that answer.
_asked: dict[Any, AsyncResult] = {}


def ask(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), called in a thread of the loop's pool; other tasks run until it returns.
    Breaking off the wait does not stop the call. Errors: what it raises; RuntimeError where no
    thread can be started."""
    loop = get_loop()
    pool: ThreadPool = loop.threadpool
    question = (function, args, *map(type, args))  # 80 and 80.0 are equal
    result = AsyncResult()
    try:
        asked = _asked.setdefault(question, result)
    except TypeError:  # a bytearray, say
        return pool.submit(function, *args).get()
    if asked is result:
        try:
            pool.submit(_answer, question, result)
        except BaseException as error:
            _asked.pop(question, None)
            result.set_exception(error)
    loop.foreign += 1  # it may be another loop's call
    try:
        return _copy(asked.get())
    finally:
        loop.foreign -= loop.foreign > 0  # 0: in a forked child


def _answer(question: Any, result: AsyncResult) -> None:
    """In the thread."""
    function, args, *_ = question
    try:
        answer = function(*args)
    except BaseException as error:
        _asked.pop(question, None)
        result.set_exception(error)
    else:
        _asked.pop(question, None)
        result.set(answer)


def _copy(answer: Any) -> Any:
    """Its lists are the caller's own."""
    if isinstance(answer, list):
        return answer.copy()
    if isinstance(answer, tuple):
        return tuple(map(_copy, answer))
    return answer


in_child(_asked.clear)  # the threads that would answer are not here


def getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    """As the stdlib's."""
    call = (host, port, family, type, proto, flags)
    return _getaddrinfo(*call) if is_quick(host) else ask(_getaddrinfo, *call)


def gethostbyname(host: Any) -> Any:
    """As the stdlib's."""
    return _gethostbyname(host) if is_quick(host) else ask(_gethostbyname, host)


def gethostbyname_ex(host: Any) -> Any:
    """As the stdlib's."""
    return _gethostbyname_ex(host) if is_quick(host) else ask(_gethostbyname_ex, host)


def gethostbyaddr(host: Any) -> Any:
    """As the stdlib's: asks a server unless it is in the hosts file."""
    return ask(_gethostbyaddr, host)


def getnameinfo(address: Any, flags: int) -> Any:
    """As the stdlib's: asks a server unless NI_NUMERICHOST is among the flags."""
    if not isinstance(address, tuple) or flags & _stdlib.NI_NUMERICHOST:  # or a TypeError
        return _getnameinfo(address, flags)
    return ask(_getnameinfo, address, flags)


def resolve(address: tuple[Any, ...], family: int, type: int, proto: int) -> tuple[Any, ...]:
    """The address of a socket, with a number for a host name that connect(2) would look up."""
    if not address or not isinstance(address[0], (str, bytes, bytearray)) or is_quick(address[0]):
        return address
    found = getaddrinfo(address[0], address[1], family, type, proto)
    return (*found[0][4][:2], *address[2:])

"""The head of a response: what an application may say, checked before anything is sent.

What could end a line, and so begin another header or response, is refused by ValueError (RFC 9110,
section 5.5). Transfer-Encoding and the like are the server's: an application's are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from email.utils import formatdate
from time import time
from typing import Any

_MOST_KEPT = 1000
_names: dict[str, str] = {}  # those that have been checked, and how they are in lower case
_status_lines: dict[str, bytes] = {}
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(r"[\t -~\x80-\xff]*").fullmatch
_is_status = re.compile(r"[1-9][0-9][0-9](?: [\t -~\x80-\xff]*)?").fullmatch
# What has a meaning for the server, in lower case.
SPECIAL = frozenset(
    (
        *("connection", "content-length", "date", "keep-alive", "proxy-connection", "te"),
        *("trailer", "transfer-encoding"),
    )
)


def check_name(name: Any) -> str:
    """In lower case. Errors: TypeError, ValueError for what can be no header."""
    if not isinstance(name, str):
        raise TypeError(f"a header's name must be a str, not {type(name).__name__}")
    if not _is_name(name):
        raise ValueError(f"{name!r} cannot be the name of a header")
    lower = name.lower()
    if len(_names) < _MOST_KEPT:
        _names[name] = lower
    return lower


def check_value(name: str, value: Any) -> None:
    """Errors: TypeError, ValueError for what can be no header's value."""
    if not isinstance(value, str):
        raise TypeError(f"the value of {name} must be a str, not {type(value).__name__}")
    if not _is_value(value):
        raise ValueError(f"{value!r} cannot be the value of {name}: no line ends, no controls")


def status_line(status: Any) -> bytes:
    """Errors: TypeError, ValueError for what is no status."""
    line = _status_lines.get(status) if isinstance(status, str) else None
    if line is None:
        if not isinstance(status, str):
            raise TypeError(f"the status must be a str, not {type(status).__name__}")
        if not _is_status(status):
            raise ValueError(f'{status!r} is no status, as "200 OK" is')
        line = f"HTTP/1.1 {status if ' ' in status else status + ' '}\r\n".encode("latin-1")
        if len(_status_lines) < _MOST_KEPT:
            _status_lines[status] = line
    return line


def write_headers(headers: Any) -> tuple[str, dict[str, str]]:
    """(the lines, those that have a meaning for the server): the latter by names in lower case, and
    only Date and Content-Length, and Connection without its mere "close", are among the lines, too.
    Errors: TypeError, ValueError."""
    lines = []
    special: dict[str, str] = {}
    names = _names
    for name, value in headers:
        try:
            lower = names[name]
        except (KeyError, TypeError):
            lower = check_name(name)
        if type(value) is not str or not value.isprintable():
            check_value(name, value)
        if lower in SPECIAL:
            if lower in special:
                raise ValueError(f"{name} is there twice")
            special[lower] = value
            if lower == "content-length":
                if not (value.isascii() and value.isdigit()):
                    raise ValueError(f"{value!r} is no Content-Length")
            elif lower != "date":
                continue
        lines.append(f"{name}: {value}\r\n")
    text = "".join(lines)
    return text, special


class _Clock:
    """The Date header of this second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def __call__(self) -> bytes:
        second = int(time())
        if second != self._second:
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
            self._second = second
        return self._line


date_line = _Clock()


class FileWrapper:
    """wsgi.file_wrapper: a file that is to be sent from where it stands. Its size is found out, and
    the kernel sends it, where it is a file of the kernel's; else it is read in blocks."""

    __slots__ = ("block_size", "close", "file")

    def __init__(self, file: Any, block_size: int = 65536) -> None:
        self.file = file
        self.block_size = block_size
        self.close = getattr(file, "close", _nothing)

    def __iter__(self) -> Iterator[bytes]:
        read = self.file.read
        while data := read(self.block_size):
            yield data

    def measure(self) -> tuple[int, int] | None:
        """(offset, size) of what is to be sent; None where it is no regular file."""
        try:
            offset = self.file.tell()
            status = os.fstat(self.file.fileno())
        except (AttributeError, OSError, ValueError):
            return None
        if not _is_regular(status.st_mode):
            return None
        return offset, max(0, status.st_size - offset)


def _is_regular(mode: int) -> bool:
    return (mode & 0o170000) == 0o100000


def _nothing() -> None:
    pass

"""A response: from what the application says to what is sent.

With the Content-Length that the application says, or that is known; else in chunks, or up to the
end of the connection for HTTP/1.0. No byte more than that length is ever sent, for the client would
take it for the next response; where there are fewer, it sees the connection end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .body import EMPTY, MOST_DISCARDED
from .connection import Connection
from .head import Head
from .response import FileWrapper, date_line, status_line, write_headers

_BODILESS = (204, 304)


class Responder(Connection):
    """The part of a WSGIHandler that answers."""

    close_connection: bool  # after this response
    _head: Head
    log_error: Any

    def _forget_request(self) -> None:
        self.status: str | None = None  # "200 OK"
        self.code = 0
        self.headers_sent = False
        self.response_length = 0  # bytes sent
        self.wsgi_input = EMPTY
        self.connection_upgraded = False
        self._status_line = b""
        self._headers = b""
        self._special: dict[str, str] = {}
        self._left: int | None = None  # bytes of the response's body, where it has a length
        self._chunks = False
        self._taken = False  # has the application taken the socket?
        self._broken = False  # is the response incomplete?

    def start_response(
        self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """What the application calls. Errors: AssertionError where it has been called, TypeError
        and ValueError for what cannot be sent."""
        if exc_info is not None:
            if self.headers_sent and exc_info[1] is not None:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self.status is not None:
            raise AssertionError("start_response() has been called already, and without exc_info")
        line = status_line(status)
        text, special = write_headers(headers)
        encoded = text.encode("latin-1")
        if status[0] == "1" and not (status[:3] == "101" and self._head.upgrade):
            raise ValueError(f"{status!r} is no response to this request")
        if status.startswith("204") and special.get("content-length", "0") != "0":
            raise AssertionError(f"{status} has no body, so no Content-Length either")
        self._headers = encoded
        self._special = special
        self._status_line = line
        self.status = status
        self.code = int(status[:3])
        return self.write

    @property
    def response_headers(self) -> list[tuple[str, str]]:
        """Those that the application has set, but for the server's own."""
        lines = self._headers.decode("latin-1").split("\r\n")[:-1]
        return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]

    def finalize_headers(self, size: int | None) -> bytes:
        """The whole head of the response. `size`: of its body, if that is known. Errors:
        AssertionError without start_response()."""
        if self.status is None:
            raise AssertionError("the application did not call start_response()")
        code = self.code
        special = self._special
        head = self._head
        parts = [self._status_line, self._headers]
        if not special or "date" not in special:
            parts.append(date_line())
        connection = ""
        if special:
            connection = special.get("connection", "").lower()
            if "close" in connection:
                self.close_connection = True
        if self.server.draining or (
            self.wsgi_input is not EMPTY and self.wsgi_input.keeps(MOST_DISCARDED)
        ):
            self.close_connection = True  # RFC 9110, section 10.1.1, wants it said
        self._left = None
        if code == 101:
            self.connection_upgraded = self.close_connection = True
            parts.append(b"Connection: Upgrade\r\n")
        elif special and "content-length" in special:
            self._left = int(special["content-length"])
            if code in _BODILESS:
                self._left = 0
        elif code in _BODILESS:
            self._left = 0
        elif size is not None:
            self._left = size
            parts.append(b"Content-Length: %d\r\n" % size)
        elif head.version == "HTTP/1.1":
            self._chunks = True
            parts.append(b"Transfer-Encoding: chunked\r\n")
        else:
            self.close_connection = True
        if head.method == "HEAD":
            self._left = 0
            self._chunks = False
        if code != 101:
            if self.close_connection:
                parts.append(b"Connection: close\r\n")
            elif head.version == "HTTP/1.0":
                parts.append(b"Connection: keep-alive\r\n")
        parts.append(b"\r\n")
        self.headers_sent = True
        return b"".join(parts)

    def _send_whole(self, body: bytes) -> None:
        """The response, head and body."""
        if type(body) is not bytes:
            body = _as_bytes(body)
        size = len(body)
        head = self.finalize_headers(size)
        if self._left is not None and self._left != size:
            body = self._cut(body)
            if self._left:
                self._fall_short()
        elif self._chunks:  # not with a size
            raise AssertionError
        self._send_both(head, body)

    def _cut(self, data: bytes) -> bytes:
        """No more than the Content-Length says, and nothing where there is to be no body."""
        left = self._left or 0
        if len(data) > left:
            if self._head.method != "HEAD" and self.code != 304:
                self._end_badly()
                self.log_error(
                    "the application has sent %s bytes too many: left out", len(data) - left
                )
            data = data[:left]
        self._left = left - len(data)
        return data

    def write(self, data: bytes) -> None:
        """Sends a piece of the body, after the head where that has not been sent. Errors:
        AssertionError without start_response(); TypeError for what is not bytes; OSError."""
        if type(data) is not bytes:
            data = _as_bytes(data)
        head = b"" if self.headers_sent else self.finalize_headers(None)
        if self._left is not None:
            data = self._cut(data)
        elif self._chunks and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._head.method == "HEAD":
            data = b""
        if head:
            self._send_both(head, data)
        elif data:
            self._sendall(data)

    def _send_wrapped(self, wrapper: FileWrapper) -> bool:
        """A file by the kernel; False where it is none of the kernel's."""
        found = wrapper.measure()
        if found is None:
            return False
        offset, size = found
        if "content-length" in self._special:
            size = min(size, int(self._special["content-length"]))
        head = self.finalize_headers(size)
        if not self._left:
            self._sendall(head)
            return True
        self._send_with_more(head)
        self._send_file(wrapper.file, offset, size)
        self._left -= size
        if self._left:
            self._fall_short()
        return True

    def _fall_short(self) -> None:
        """The client sees that something is missing when the connection ends."""
        self._end_badly()
        self.log_error("the application has sent %s bytes too few", self._left)

    def _end_badly(self) -> None:
        self.close_connection = True
        self._broken = True


def _as_bytes(data: Any) -> bytes:
    """What gevent and gunicorn send as well, though WSGI knows bytes alone. write("") is what
    gevent-websocket has a head sent by."""
    if isinstance(data, str) and not data:
        return b""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"an application gives bytes, not {type(data).__name__}")
    return bytes(data)

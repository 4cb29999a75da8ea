"""A connection's bytes: what has come and not been used, what is sent, and how long each may take.

There is no timer for every wait. Each state has a time when it is over, and the server's watchman
(watchman.py) looks at all connections now and then: expire() shuts the socket down, which wakes who
waits for it.
"""

from __future__ import annotations

import _socket
import re
from socket import MSG_DONTWAIT, MSG_MORE, MSG_PEEK, SHUT_RD, SHUT_RDWR, SHUT_WR
from typing import Any

from ..loop import get_loop
from ..socket import socket
from ..tls import say_goodbye
from .head import BadRequest, bad

_RECEIVE = 65536  # bytes at a time
_SLICE = 262144  # bytes of a response that must get away within `send_timeout`
_JOIN = 16384  # bytes up to which two pieces are copied to be sent at once
_LINGER = 1 << 18  # bytes that are read of a refused client's, so that it reads our answer
_skip_empty_lines = re.compile(rb"(?:\r\n)+").match
_find_bare_lf = re.compile(rb"(?<!\r)\n").search
_receive = socket.recv  # whatever TLS may say
_LEAVE = float("inf")
_OVER = 0.0  # an end that has been: what has come by then counts, and nothing after it

# States, by what the client is waited for.
IDLE, HEAD, BODY, WORK, SEND, LINGER = range(6)


class Connection:
    """The part of a WSGIHandler that knows no HTTP but where a head ends."""

    socket: Any
    server: Any
    response_length: int
    end: float  # when the watchman ends the state, by his clock
    state: int
    _served: int  # requests
    _buffer: bytes  # has come, and is not used yet
    _expired: bool
    _coroutine: Any  # that serves it

    # ---- reading ----

    def _receive(self) -> bytes:
        """What comes, b"" at the end. Errors: OSError, BadRequest (408) where it took too long."""
        data: bytes = self.socket.recv(_RECEIVE)
        if not data and self._expired:
            raise BadRequest("408 Request Timeout", "the client is too slow")
        return data

    def _read_head(self) -> bytes | None:
        """The next request's head with its empty line; None where the client, or the server, is
        done. Errors: BadRequest, OSError."""
        server = self.server
        buffer = self._buffer
        self.state = HEAD if buffer else IDLE
        self.end = server.now + (server.keepalive_timeout if self._served else server.head_timeout)
        start = 0
        while True:
            if buffer:
                end = buffer.find(b"\r\n\r\n", start) + 4
                if empty := _skip_empty_lines(buffer):  # RFC 9112, section 2.2
                    buffer = buffer[empty.end() :]
                    start = 0
                    continue
                if end > 3 or len(buffer) > server.max_request_line:
                    self._check_sizes(buffer, end if end > 3 else len(buffer))
                if end > 3:
                    break
                self._check_beginning(buffer, start)
                start = max(0, len(buffer) - 3)
                if self.state == IDLE:
                    self.state = HEAD
                    if self.end != _OVER:
                        self.end = server.now + server.head_timeout
            elif server.draining and self._served:
                # What has come by now is served, and nothing after it.
                if server.ssl_enabled:
                    self.end = _OVER
                else:
                    self._shut(SHUT_RD)
            if server.ssl_enabled and self._is_late():
                return None
            try:
                data = self.socket.recv(_RECEIVE)
            except OSError:
                data = b""
            if not data:
                if self._expired and self.state == HEAD:
                    raise BadRequest("408 Request Timeout", "the head took too long")
                return None
            buffer = buffer + data if buffer else data
        self.state = WORK
        self.end = _LEAVE
        if end == len(buffer):
            self._buffer = b""
            return buffer
        self._buffer = buffer[end:]
        return buffer[:end]

    def _is_late(self) -> bool:
        """With TLS, which cannot shut the reading side: is nothing more to be waited for?"""
        if self.end == _OVER:
            return not self._has_come()
        return self.state == IDLE and self.end < self.server.now  # it sends, but no request

    def _check_beginning(self, buffer: bytes, start: int) -> None:
        """Of a head that has not all come. What can become none, TLS say, is refused at once: its
        end may never come. Errors: BadRequest."""
        if not (buffer[:1].isalpha() or buffer == b"\r"):
            raise bad(f"{buffer[:20]!r} is no method")
        if _find_bare_lf(buffer, start):
            raise bad("a line that ends with LF alone")

    def _check_sizes(self, buffer: bytes, size: int) -> None:
        server = self.server
        if buffer.find(b"\r\n", 0, server.max_request_line + 2) < 0:
            raise BadRequest(
                "414 URI Too Long", f"a request line of more than {server.max_request_line} bytes"
            )
        if size > server.max_head:
            raise BadRequest(
                "431 Request Header Fields Too Large", f"a head of more than {server.max_head}"
            )

    def _take(self, most: int) -> bytes:
        """Some bytes of the body, `most` at most. Errors: OSError, BadRequest."""
        buffer = self._buffer
        if not buffer:
            self._wait_for_body()
            buffer = self._receive()
            self.state = WORK
            self.end = _LEAVE
            if not buffer:
                raise ConnectionResetError("the client has gone in the middle of a request's body")
        self._buffer = buffer[most:]
        return buffer[:most]

    def _take_line(self, most: int) -> bytes:
        """A line with its CRLF. Errors: OSError, BadRequest."""
        line = b""
        while not line.endswith(b"\n"):
            if len(line) >= most:
                raise bad("a line of a chunked body that is too long, or a chunk that does not end")
            piece = self._take(most - len(line))
            end = piece.find(b"\n") + 1
            if end:
                self._buffer = piece[end:] + self._buffer
                piece = piece[:end]
            line += piece
        return line

    def _wait_for_body(self) -> None:
        self.state = BODY
        self.end = self.server.now + self.server.body_timeout

    # ---- sending ----

    def _sendall(self, data: bytes) -> None:
        """Errors: OSError."""
        self.state = SEND
        self.end = self.server.now + self.server.send_timeout
        size = len(data)
        if size <= _SLICE:
            self.socket.sendall(data)
        else:
            view = memoryview(data)
            for start in range(0, size, _SLICE):
                self.socket.sendall(view[start : start + _SLICE])
                self.end = self.server.now + self.server.send_timeout
        self.response_length += size
        self.state = WORK
        self.end = _LEAVE

    def _send_both(self, head: bytes, data: bytes) -> None:
        """Errors: OSError."""
        if len(data) <= _JOIN:
            self._sendall(head + data)
            return
        self._send_with_more(head)
        self._sendall(data)

    def _send_with_more(self, head: bytes) -> None:
        """Sends it, in one packet with what follows where the kernel can do that."""
        if self.server.ssl_enabled:
            self._sendall(head)
        else:
            self.socket.sendall(head, MSG_MORE)
            self.response_length += len(head)

    def _send_file(self, file: Any, offset: int, size: int) -> None:
        """Errors: OSError, also where the file has become too short."""
        self.state = SEND
        sent = 0
        while sent < size:
            self.end = self.server.now + self.server.send_timeout
            more = self.socket.sendfile(file, offset + sent, min(size - sent, _SLICE))
            if not more:
                raise OSError("the file ends before the size that it had")
            sent += more
        self.response_length += sent
        self.state = WORK
        self.end = _LEAVE

    # ---- the end ----

    def expire(self) -> None:
        """Of the watchman: the state has lasted too long. Wakes who waits."""
        self._expired = True
        if self.state in (SEND, LINGER):
            self._shut(SHUT_RDWR)
        else:
            self._end_reading()

    def drain(self) -> None:
        """The server comes to an end: so does this, if nothing is under way."""
        if self.state == IDLE:
            self.end = _OVER
            self._end_reading()

    def _end_reading(self) -> None:
        """recv() finds the end. Not with TLS, which would complain to the client: there, the wait
        for the next request is broken off. One that has just been woken is left alone, and one
        that the loop is about to wake for what might be a request; if that was for nothing, the
        watchman comes again, as its time is still over."""
        if not self.server.ssl_enabled or self.state == BODY:
            self._shut(SHUT_RD)
            return
        loop = self._coroutine._thread.loop

        def break_off() -> None:
            if self.state == IDLE and self._has_come():
                self._expired = False
            elif self.state in (IDLE, HEAD):  # so this is what it waits for
                loop.break_off(self._coroutine, TimeoutError("timed out"))

        if loop is get_loop():
            break_off()
        elif loop is not None:
            loop.post_threadsafe(break_off)

    def _has_come(self) -> bool:
        """Has the kernel bytes that have not been read? OpenSSL leaves none there when it waits; so
        a record of which it has taken a part counts as not come: pending() does not tell of it."""
        try:
            return bool(_socket.socket.recv(self.socket, 1, MSG_PEEK | MSG_DONTWAIT))
        except OSError:
            return False

    def _shut(self, how: int) -> None:
        try:
            _socket.socket.shutdown(self.socket, how)  # not TLS's, which forgets its state
        except OSError:
            pass

    def _linger(self) -> None:
        """Before closing on a client that may still send: the kernel would throw away what we have
        sent, had it not been read. RFC 9112, section 9.6."""
        self.state = LINGER
        self.end = self.server.now + self.server.linger_timeout
        sock = self.socket
        try:
            if self.server.ssl_enabled:
                say_goodbye(sock)
                sock.settimeout(None)
            self._shut(SHUT_WR)
            left = _LINGER
            while left > 0 and (data := _receive(sock, _RECEIVE)):
                left -= len(data)
        except OSError:
            pass

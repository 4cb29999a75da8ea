"""The stdlib's ssl module, whose sockets let other tasks run while they wait.

SSLSocket is the stdlib's over our socket: OpenSSL reads and writes the descriptor itself, which
does not block, and says what it waits for. A context makes the kind of socket that its
`sslsocket_class` names; SSLContext here names ours. The rest of the module is passed through.

A read that finds nothing fails by an exception, which costs more than all else. OpenSSL takes one
record at a time from the kernel, and a short read has given all of that; so where the kernel has
no more then, the next read waits at once, as in socket.py. From then on the loop tells of it as
long as there is more (Watch.level), and the kernel is not asked again: not by a connection whose
peer waits for an answer to each record. One who sends several together would have them read one in
each of the loop's turns. Not where the kernel decrypts (KTLS): what it has is more than it says.
"""

from __future__ import annotations

import ssl as _stdlib
from collections.abc import Callable
from typing import Any

from . import _native
from .borrow import Borrower
from .poller import READ, WRITE
from .socket import create_connection, socket
from .waiting import wait_to_read
from .waitingsocket import STREAK
from .watches import Watch

_current = _native.current
_WantRead = _stdlib.SSLWantReadError
_WantWrite = _stdlib.SSLWantWriteError
_SSLEOFError = _stdlib.SSLEOFError
_BaseSocket = _stdlib.SSLSocket

_KTLS = 1 << 3  # OP_ENABLE_KTLS, which 3.11 does not name


class SSLSocket(_BaseSocket, socket):  # type: ignore[misc]
    """As the stdlib's SSLSocket. SSLContext.wrap_socket() makes it."""

    @classmethod
    def _create(cls, sock: Any, *args: Any, **kwargs: Any) -> Any:
        made = super()._create(sock, *args, **kwargs)  # type: ignore[misc]
        if made.context.options & _KTLS:
            made._drains = False
        return made

    def _retry(self, call: Callable[..., Any], *args: Any, deadline: float | None = None) -> Any:
        self._streak += 1
        if self._streak > STREAK:
            self._rest()
        while True:
            try:
                return call(*args)
            except _WantRead:
                direction = READ
                if self._timeout == 0.0:
                    raise
            except _WantWrite:
                direction = WRITE
                if self._timeout == 0.0:
                    raise
            deadline = self._wait(direction, deadline)

    def _has_all(self, watch: Watch) -> bool:
        """After a short read: has the kernel no more? Where it has not, the loop will tell of more
        as long as there is some, and that need not be asked again after a read that followed an
        answer of ours. Where it has, or may often have had, it is asked each time."""
        if watch.unusual:
            return False
        is_empty = self._is_empty()
        here = _current()  # which may have no loop, and needs none for this
        if here is not None and watch.loop is here._thread.loop:
            watch.judge_level(is_empty)
        return is_empty

    def _share(self, direction: int, other: Any) -> None:
        """A read may have to write and a write to read (RFC 8446, 4.6.3): two in one direction are
        no error here."""

    def _end(self, error: _stdlib.SSLEOFError) -> None:
        """The peer has ended the connection without saying goodbye."""
        ragged: bool = self.suppress_ragged_eofs  # type: ignore[attr-defined]
        if error.args[0] != _stdlib.SSL_ERROR_EOF or not ragged:
            raise error

    # The calls of every day go to OpenSSL without a detour by way of the stdlib's methods.

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        channel: Any = self._sslobj  # type: ignore[attr-defined]
        if channel is None:
            return super().read(len, buffer)  # which says so
        if buffer is None:
            return SSLSocket.recv(self, len)  # a subclass's may call this
        watch = self._watch
        size = memoryview(buffer).nbytes
        deadline = None
        answered = None
        if watch is not None and watch.drained and self._timeout != 0.0 and size:
            answered = self._streak
            deadline = self._wait(READ)
        try:
            count = self._retry(channel.read, len, buffer, deadline=deadline)
        except _SSLEOFError as error:
            self._end(error)
            return 0
        if answered is not None:
            self._streak = 0  # this was no sending
        asked = len if 0 < len < size else size
        if watch is not None and 0 < count < asked and self._drains:
            watch.drained = bool(answered and watch.level) or self._has_all(watch)
        return count

    def recv(self, buflen: int = 1024, flags: int = 0) -> Any:
        channel: Any = self._sslobj  # type: ignore[attr-defined]
        if flags or channel is None:
            return super().recv(buflen, flags)
        watch = self._watch
        deadline = None
        answered = 0
        if watch is not None and watch.drained and buflen > 0:
            answered = self._streak  # how often it has sent since it waited
            timeout = self._timeout
            if timeout is None:
                if not wait_to_read(watch):
                    deadline = self._wait(READ)
            elif timeout:
                deadline = self._wait(READ)
            self._streak = 0
        else:
            self._streak += 1
            if self._streak > STREAK:
                self._rest()
        while True:
            try:
                data = channel.read(buflen)
                break
            except _WantRead:
                direction = READ
                if self._timeout == 0.0:
                    raise
            except _WantWrite:
                direction = WRITE
                if self._timeout == 0.0:
                    raise
            except _SSLEOFError as error:
                self._end(error)
                return b""
            deadline = self._wait(direction, deadline)
        if len(data) < buflen and watch is not None and data and self._drains:
            watch.drained = bool(answered and watch.level) or self._has_all(watch)
        return data

    def write(self, data: Any) -> int:
        return self._retry(super().write, data)  # type: ignore[no-any-return]

    def send(self, data: Any, flags: int = 0) -> int:
        return self._retry(super().send, data, flags)  # type: ignore[no-any-return]

    def sendall(self, data: Any, flags: int = 0) -> None:
        channel: Any = self._sslobj  # type: ignore[attr-defined]
        if channel is None:
            socket.sendall(self, data, flags)
        elif type(data) is bytes and data and not flags:
            self._streak += 1
            if self._streak > STREAK:
                self._rest()
            try:
                sent = channel.write(data)
            except (_WantRead, _WantWrite):
                if self._timeout == 0.0:
                    raise
                sent = 0
            if sent < len(data):
                super().sendall(memoryview(data)[sent:])
        else:
            super().sendall(data, flags)

    def do_handshake(self, block: bool = False) -> None:
        timeout = self.gettimeout()
        if timeout == 0.0 and block:
            self.settimeout(None)
        try:
            self._retry(super().do_handshake)
        finally:
            self.settimeout(timeout)

    def unwrap(self) -> Any:
        return self._retry(super().unwrap)


class SSLContext(_stdlib.SSLContext):
    """As the stdlib's SSLContext; its sockets are the cooperative ones."""

    sslsocket_class = SSLSocket


_stdlibs = Borrower(_stdlib, SSLContext=SSLContext, create_connection=create_connection)
create_default_context = _stdlibs.borrow(_stdlib.create_default_context)
_create_unverified_context = _stdlibs.borrow(_stdlib._create_unverified_context)
_create_stdlib_context = _stdlibs.names["_create_stdlib_context"] = _create_unverified_context
get_server_certificate = _stdlibs.borrow(_stdlib.get_server_certificate)


def __getattr__(name: str) -> Any:
    return getattr(_stdlib, name)

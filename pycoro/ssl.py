"""The stdlib's ssl module, whose sockets let other tasks run while they wait.

SSLSocket is the stdlib's over our socket: OpenSSL reads and writes the descriptor itself, which
does not block, and says what it waits for. A context makes the kind of socket that its
`sslsocket_class` names; SSLContext here names ours. The rest of the module is passed through.
"""

from __future__ import annotations

import ssl as _stdlib
from collections.abc import Callable
from typing import Any

from .borrow import Borrower
from .poller import READ, WRITE
from .socket import create_connection, socket
from .waitingsocket import STREAK

_WantRead = _stdlib.SSLWantReadError
_WantWrite = _stdlib.SSLWantWriteError
_BaseSocket = _stdlib.SSLSocket


class SSLSocket(_BaseSocket, socket):  # type: ignore[misc]
    """As the stdlib's SSLSocket. SSLContext.wrap_socket() makes it."""

    def _retry(self, call: Callable[..., Any], *args: Any) -> Any:
        self._streak += 1
        if self._streak > STREAK:
            self._rest()
        deadline = None
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

    def _share(self, direction: int, other: Any) -> None:
        """A read may have to write and a write to read (RFC 8446, 4.6.3): two in one direction are
        no error here."""

    # The calls of every day go to OpenSSL without a detour by way of the stdlib's methods.

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        channel: Any = self._sslobj  # type: ignore[attr-defined]
        if channel is None:
            return super().read(len, buffer)  # which says so
        try:
            if buffer is None:
                return self._retry(channel.read, len)
            return self._retry(channel.read, len, buffer)
        except _stdlib.SSLEOFError as error:
            ragged: bool = self.suppress_ragged_eofs  # type: ignore[attr-defined]
            if error.args[0] != _stdlib.SSL_ERROR_EOF or not ragged:
                raise
            return b"" if buffer is None else 0

    def recv(self, buflen: int = 1024, flags: int = 0) -> Any:
        if flags or self._sslobj is None:  # type: ignore[attr-defined]
            return super().recv(buflen, flags)
        return self.read(buflen)

    def write(self, data: Any) -> int:
        return self._retry(super().write, data)  # type: ignore[no-any-return]

    def send(self, data: Any, flags: int = 0) -> int:
        return self._retry(super().send, data, flags)  # type: ignore[no-any-return]

    def sendall(self, data: Any, flags: int = 0) -> None:
        channel: Any = self._sslobj  # type: ignore[attr-defined]
        if channel is None:
            socket.sendall(self, data, flags)
        elif type(data) is bytes and data and not flags:
            sent = self._retry(channel.write, data)
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

"""Servers of streams, TCP or Unix, with TLS or without, and of datagrams. gevent's names."""

from __future__ import annotations

import _socket
import socket as _stdlib
from contextlib import suppress
from errno import EBADF
from functools import partial
from typing import Any

from .baseserver import BaseServer
from .listeners import Address, make_socket, parse_address, remove_path
from .prefork import Supervisor
from .socket import connection_of, socket
from .tls import say_goodbye, take_context, wrap
from .waiting import wait_write

__all__ = ["DatagramServer", "StreamServer"]

_raw_accept = _socket.socket._accept  # type: ignore[attr-defined]


def _unblock(sock: Any) -> None:
    """What is not ours might block the loop, where another process has been faster."""
    if not isinstance(sock, socket):
        sock.setblocking(False)


def _family(address: Any, family: int | None) -> int:
    return parse_address(address)[0] if family is None else family


class StreamServer(BaseServer):
    """Calls handle(socket, address) for each connection, and closes the socket afterwards.

    ssl_args: ssl_context for TLS, of any making; or, as of old, certfile and keyfile, and further
    cert_reqs, ssl_version, ca_certs, ciphers. suppress_ragged_eofs, do_handshake_on_connect and
    server_hostname go to SSLContext.wrap_socket(). The handshake is done in the handler's
    coroutine. workers: serve_forever() serves in so many processes (prefork.py). Errors: TypeError,
    ValueError for bad arguments; those of ssl.SSLContext.

    tcp_nodelay, an attribute: sets TCP_NODELAY for all connections; None, the default: with TLS.
    worker_timeout, another, is for several workers: one whose loop has had no turn for so many
    seconds is killed, with what it has under way, and replaced. Off by default, None: a handler may
    rightly compute for long.
    """

    backlog = 128
    reuse_addr: int | None = 1
    reuse_port = False
    handshake_timeout: float | None = 30.0  # seconds
    worker_timeout: float | None = None  # seconds
    tcp_nodelay: bool | None = None

    def __init__(
        self,
        listener: Any,
        handle: Any = None,
        backlog: int | None = None,
        spawn: Any = "default",
        *,
        workers: int = 1,
        **ssl_args: Any,
    ) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise ValueError(f"workers must be a positive int, not {workers!r}")
        super().__init__(listener, handle, spawn)
        self.workers = workers
        self.ssl_args: dict[str, Any] | None = None
        if any(value is not None for value in ssl_args.values()):
            context = take_context(ssl_args)
            self.wrap_socket = partial(wrap, context)
            self.ssl_args = ssl_args
        if backlog is not None:
            if hasattr(self, "socket"):
                raise TypeError("backlog must be None when a socket instance is passed")
            self.backlog = backlog

    @property
    def ssl_enabled(self) -> bool:
        """Is it TLS?"""
        return self.ssl_args is not None

    def init_socket(self) -> None:
        if not hasattr(self, "socket"):
            self.socket = self.get_listener(self.address, self.backlog, self.family)
            self.address = self.socket.getsockname()
        _unblock(self.socket)
        # Else the first that a handler sends over TLS 1.3 waits until the client has acknowledged
        # the tickets at the end of the handshake, and that takes its time: 40 ms on Linux.
        no_delay = self.ssl_enabled if self.tcp_nodelay is None else self.tcp_nodelay
        if no_delay:
            with suppress(OSError):  # it is not TCP
                self.socket.setsockopt(_stdlib.IPPROTO_TCP, _stdlib.TCP_NODELAY, 1)  # inherited
        self._handle = self.wrap_socket_and_handle if self.ssl_enabled else self.handle

    @classmethod
    def get_listener(
        cls, address: Address, backlog: int | None = None, family: int | None = None
    ) -> socket:
        """A listening socket. Errors: OSError."""
        return make_socket(
            address,
            family=_family(address, family),
            backlog=cls.backlog if backlog is None else backlog,
            reuse_addr=cls.reuse_addr,
            reuse_port=cls.reuse_port,
        )

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """As BaseServer's. With several workers this process supervises them: SIGHUP replaces all
        by new ones, SIGTERM and Ctrl-C end all. Errors: Refused, of workerprocess.py, where
        the first cannot start; RuntimeError for these in a task, or where it has been started."""
        if self.workers == 1:
            super().serve_forever(stop_timeout)
            return
        if self.started:
            raise RuntimeError("the workers start it: call serve_forever() without start()")
        listeners = self._listen_for_workers()
        grace = self.stop_timeout if stop_timeout is None else stop_timeout

        def start(listener: Any) -> None:
            self.socket = listener
            self._owns_path = False  # that is the supervisor's
            self.start()

        serve = partial(super().serve_forever, stop_timeout)
        try:
            Supervisor(start, serve, listeners, grace, self.worker_timeout).run()
        finally:
            if self._owns_path:
                remove_path(self.family, self.address)
            for listener in listeners:
                listener.close()

    def _listen_for_workers(self) -> list[Any]:
        """One socket for each, or the same for all where it was given, or is a Unix socket."""
        if hasattr(self, "socket"):
            given = self.socket
            del self.socket
            return [given] * self.workers
        family = self.family
        if family == _stdlib.AF_UNIX:
            self._owns_path = True
            return [self.get_listener(self.address, self.backlog, family)] * self.workers
        listeners: list[Any] = []
        try:
            for _ in range(self.workers):
                listeners.append(
                    make_socket(
                        self.address,
                        family=family,
                        backlog=self.backlog,
                        reuse_addr=self.reuse_addr,
                        reuse_port=True,
                    )
                )
                self.address = listeners[0].getsockname()
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        return listeners

    def do_read(self) -> Any:
        listener = self.socket
        try:
            fd, address = _raw_accept(listener)
        except BlockingIOError:
            return None
        return connection_of(listener, fd), address

    def do_close(self, *args: Any) -> None:
        args[0].close()

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """What is called for a connection with TLS: the handshake, handle(), and the end."""
        client_socket.settimeout(self.handshake_timeout)
        try:
            tls = self.wrap_socket(client_socket, **(self.ssl_args or {}))
        except OSError as error:
            self.handshake_failed(address, error)
            return None
        with tls:
            tls.settimeout(None)
            result = self.handle(tls, address)
            say_goodbye(tls)
            return result

    def handshake_failed(self, address: Any, error: OSError) -> None:
        """Does nothing: whoever knocks at the port with something else than TLS is no error of the
        server's. May be overridden to count or log them."""


class DatagramServer(BaseServer):
    """Calls handle(data, address) for each datagram. Answers go by sendto()."""

    reuse_addr: int | None = 1
    reuse_port = False
    max_size = 65536  # bytes of a datagram; of a longer one the rest is lost

    def init_socket(self) -> None:
        if not hasattr(self, "socket"):
            self.socket = self.get_listener(self.address, self.family)
            self.address = self.socket.getsockname()
        _unblock(self.socket)
        self._handle = self.handle

    @classmethod
    def get_listener(cls, address: Address, family: int | None = None) -> socket:
        """A bound socket. Errors: OSError."""
        return make_socket(
            address,
            _stdlib.SOCK_DGRAM,
            family=_family(address, family),
            reuse_addr=cls.reuse_addr,
            reuse_port=cls.reuse_port,
        )

    def do_read(self) -> Any:
        try:
            return _socket.socket.recvfrom(self.socket, self.max_size)
        except BlockingIOError:
            return None

    def sendto(self, *args: Any) -> int:
        """sendto() of the socket, which waits where the kernel's buffer is full. Errors: OSError,
        with EBADF where the server is closed."""
        while hasattr(self, "socket"):
            try:
                return self.socket.sendto(*args)  # type: ignore[no-any-return]
            except BlockingIOError:
                wait_write(self.socket)
        raise OSError(EBADF, "the server is closed")

"""The stdlib's socket module, whose sockets let other tasks run while they wait.

`socket` is a subclass of the stdlib's. Underneath the descriptor does not block: each call is
tried, and waits only where it would have blocked; timeouts are kept here. Everything else of the
module is passed through.

After a stream's short read its kernel buffer is empty, and the next edge will tell of more, so
the next read waits at once, instead of failing first (`Watch.drained`, epoll(7)). Anything unusual
about a socket, such as its end or urgent data, switches that off.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket as _stdlib
from math import inf
from typing import Any

from . import _native
from .borrow import Borrower
from .dns import (
    getaddrinfo,
    gethostbyaddr,
    gethostbyname,
    gethostbyname_ex,
    getnameinfo,
    resolve,
)
from .loop import get_loop
from .poller import READ, WRITE
from .sleeping import sleep
from .waiting import cancel_wait, wait_read, wait_readwrite, wait_to_read, wait_write
from .waitingsocket import INET, STREAK, WaitingSocket

_current = _native.current
_raw = _socket.socket
_recv = _raw.recv
_recv_into = _raw.recv_into
_send = _raw.send
_accept = _raw._accept  # type: ignore[attr-defined]
_init = _raw.__init__
_set_blocking = _raw.setblocking
_close = _raw.close
_get_fd = _raw.fileno
_get_default_timeout = _socket.getdefaulttimeout
_get_family = _raw.family.__get__
_get_type = _raw.type.__get__
_get_proto = _raw.proto.__get__

_SENDFILE_MOST = 2**30  # bytes in one call
_CLOSED = "another task closed the socket meanwhile"


class socket(WaitingSocket):  # noqa: N801 - the stdlib's name
    """As the stdlib's socket. Errors: as the stdlib's; OSError (EBADF) in who waits on a socket
    that another task closes; ConcurrentObjectUseError in the second task that waits to read from a
    stream, or to write to it, as with gevent."""

    __slots__ = ()

    # ---- reading ----

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if flags:
            return self._repeat(READ, _recv, bufsize, flags, flags=flags)  # type: ignore[no-any-return]
        watch = self._watch
        deadline = None
        if watch is not None and watch.drained and bufsize:
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
                data = _recv(self, bufsize)
                break
            except BlockingIOError:
                if self._timeout == 0.0:
                    raise
            deadline = self._wait(READ, deadline)
        if len(data) < bufsize and watch is not None and data and self._drains:
            watch.drained = not watch.unusual
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        return self._repeat(READ, _recv_into, buffer, nbytes, flags, flags=flags)  # type: ignore[no-any-return]

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> Any:
        return self._repeat(READ, _raw.recvfrom, bufsize, flags, flags=flags)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> Any:
        return self._repeat(READ, _raw.recvfrom_into, buffer, nbytes, flags, flags=flags)

    def recvmsg(self, *args: Any) -> Any:
        return self._repeat(READ, _raw.recvmsg, *args, flags=_flags_of(args, 2))

    def recvmsg_into(self, *args: Any) -> Any:
        return self._repeat(READ, _raw.recvmsg_into, *args, flags=_flags_of(args, 2))

    # ---- writing ----

    def send(self, data: Any, flags: int = 0, /) -> int:
        return self._repeat(WRITE, _send, data, flags, flags=flags)  # type: ignore[no-any-return]

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self._streak = streak = self._streak + 1
        if streak > STREAK:
            self._rest()
        try:
            sent = _send(self, data, flags) if flags else _send(self, data)
        except BlockingIOError:
            if self._timeout == 0.0:
                raise
            sent = 0
        if sent != (len(data) if type(data) is bytes else memoryview(data).nbytes):
            self._send_rest(memoryview(data).cast("B"), sent, flags)

    def _send_rest(self, view: memoryview, sent: int, flags: int) -> None:
        deadline = None
        size = len(view)
        while sent < size:
            try:
                sent += _send(self, view[sent:], flags)
                self._streak += 1
                if self._streak > STREAK:  # whoever reads is as fast as we are
                    self._rest()
                continue
            except BlockingIOError:
                if self._timeout == 0.0:
                    raise
            deadline = self._wait(WRITE, deadline)

    def sendto(self, *args: Any) -> int:
        flags = _flags_of(args, 1) if len(args) == 3 else 0
        return self._repeat(WRITE, _raw.sendto, *args, flags=flags)  # type: ignore[no-any-return]

    def sendmsg(self, *args: Any) -> int:
        flags = _flags_of(args, 2)
        return self._repeat(WRITE, _raw.sendmsg, *args, flags=flags)  # type: ignore[no-any-return]

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        if self._timeout == 0.0:
            raise ValueError("non-blocking sockets are not supported")
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        sent = 0
        try:
            number = file.fileno()
            while count is None or sent < count:
                size = _SENDFILE_MOST if count is None else min(count - sent, _SENDFILE_MOST)
                more = self._repeat(WRITE, _sendfile, number, offset + sent, size)
                if not more:
                    break
                sent += more
        except TimeoutError:
            raise
        except (AttributeError, OSError):  # no file of the kernel's, or none that can be sent so
            if sent:
                raise
            return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined,no-any-return]
        finally:
            if sent:
                file.seek(offset + sent)
        return sent

    # ---- connections ----

    def accept(self) -> tuple[socket, Any]:
        self._streak += 1
        if self._streak > STREAK:
            self._rest()
        deadline = None
        while True:
            try:
                fd, address = _accept(self)
                return connection_of(self, fd), address
            except BlockingIOError:
                if self._timeout == 0.0:
                    raise
            deadline = self._wait(READ, deadline)

    def connect(self, address: Any, /) -> None:
        error = self._connect(address)
        if error:
            raise OSError(error, os.strerror(error))

    def connect_ex(self, address: Any, /) -> int:
        try:
            return self._connect(address)
        except TimeoutError:
            return errno.EAGAIN
        except OSError as error:
            if isinstance(error, _stdlib.gaierror):
                raise
            return error.errno or errno.EIO

    def _connect(self, address: Any) -> int:
        if _get_family(self) in INET and isinstance(address, tuple):
            address = resolve(address, _get_family(self), _get_type(self), _get_proto(self))
        error = _raw.connect_ex(self, address)
        if error not in (errno.EINPROGRESS, errno.EAGAIN, errno.EALREADY) or self._timeout == 0.0:
            return error
        if error == errno.EAGAIN:  # AF_UNIX: the backlog is full, and no edge will tell
            clock = get_loop().clock
            over = inf if self._timeout is None else clock() + self._timeout
            while error == errno.EAGAIN:
                if clock() >= over:
                    raise TimeoutError("timed out")
                sleep(0.005)
                error = _raw.connect_ex(self, address)
            return error
        deadline = None
        while error in (errno.EINPROGRESS, errno.EALREADY):
            deadline = self._wait(WRITE, deadline)
            error = _raw.connect_ex(self, address)  # tells of the end, and that it is no edge's
        return 0 if error == errno.EISCONN else error

    # ---- the end ----

    def _real_close(self, *_: Any) -> None:
        if self._watch is not None:
            self._forget()
        elif (here := _current()) is not None and (loop := here._thread.loop) is not None:
            loop.unwatch(_get_fd(self), _CLOSED)  # somebody may be in select()
        _close(self)

    def detach(self) -> int:
        self._forget()
        fd = super().detach()
        if fd >= 0 and self._timeout is None:  # as whoever takes it over expects
            try:
                os.set_blocking(fd, True)
            except OSError:  # it was closed behind our back
                pass
        return fd

    def _forget(self) -> None:
        watch = self._watch
        if watch is not None:
            self._watch = None
            if (loop := watch.loop) is not None:  # else it has ended already
                loop.end_watch(watch, _CLOSED)

    def dup(self) -> socket:
        twin = type(self)(self.family, self.type, self.proto, fileno=_stdlib.dup(self.fileno()))
        twin._timeout = self._timeout
        return twin


SocketType = socket
_new: Any = socket.__new__


def connection_of(listener: Any, fd: int) -> socket:
    """The socket of a connection that `listener` has accepted: socket(family, type, proto, fd) in
    short, for it is of its listener's kind."""
    if not isinstance(listener, WaitingSocket):
        return socket(_get_family(listener), _get_type(listener), _get_proto(listener), fd)
    sock: socket = _new(socket)
    _init(sock, _get_family(listener), _get_type(listener), _get_proto(listener), fd)
    sock._io_refs = 0  # type: ignore[attr-defined]
    sock._closed = False  # type: ignore[attr-defined]
    sock._timeout = _get_default_timeout()
    sock._watch = None
    sock._streak = 0
    sock._drains = listener._drains
    _set_blocking(sock, False)
    return sock


# ---- the module's other names ----


def _flags_of(args: tuple[Any, ...], place: int) -> int:
    """The flags among arguments that have not been checked yet."""
    flags = args[place] if len(args) > place else 0
    return flags if isinstance(flags, int) else 0


def _sendfile(sock: socket, number: int, offset: int, size: int) -> int:
    return os.sendfile(sock.fileno(), number, offset, size)


_stdlibs = Borrower(
    _stdlib,
    socket=socket,
    getaddrinfo=getaddrinfo,
    gethostbyaddr=gethostbyaddr,
    gethostbyname=gethostbyname,
)
has_dualstack_ipv6 = _stdlibs.borrow(_stdlib.has_dualstack_ipv6)
create_connection = _stdlibs.borrow(_stdlib.create_connection)
create_server = _stdlibs.borrow(_stdlib.create_server)
fromfd = _stdlibs.borrow(_stdlib.fromfd)
getfqdn = _stdlibs.borrow(_stdlib.getfqdn)


def socketpair(
    family: int | None = None, type: int = _stdlib.SOCK_STREAM, proto: int = 0
) -> tuple[socket, socket]:
    """As the stdlib's."""
    pair = _socket.socketpair(_stdlib.AF_UNIX if family is None else family, type, proto)
    one, other = (socket(_get_family(end), type, proto, end.detach()) for end in pair)
    return one, other


__implements__ = [
    *("socket", "SocketType", "create_connection", "create_server", "fromfd", "socketpair"),
    *("getaddrinfo", "gethostbyaddr", "gethostbyname", "gethostbyname_ex", "getfqdn"),
    "getnameinfo",
]
__all__ = [
    *_stdlib.__all__,
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "cancel_wait",
    "wait_read",
    "wait_readwrite",
    "wait_write",
]


def __getattr__(name: str) -> Any:
    return getattr(_stdlib, name)

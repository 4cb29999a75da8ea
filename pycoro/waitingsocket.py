"""How a socket waits: its timeout, its Watch, and turns for the others where it never has to."""

from __future__ import annotations

import _socket
import errno
import os
import socket as _stdlib
from fcntl import ioctl
from termios import FIONREAD
from typing import Any

from . import _native
from .errors import ConcurrentObjectUseError
from .loop import Loop, get_loop
from .poller import READ
from .sleeping import sleep
from .waiting import wait_on, wait_to_read
from .watches import Watch

_current = _native.current
_raw = _socket.socket
_get_fd = _raw.fileno
_get_family = _raw.family.__get__
_get_type = _raw.type.__get__
_get_proto = _raw.proto.__get__

_LONGEST = float(2**63 // 10**9)  # seconds that the stdlib's sockets can have as a timeout
DONTWAIT = int(getattr(_stdlib, "MSG_DONTWAIT", 0))  # not the enum, whose & takes microseconds
STREAK = 128  # calls that did not wait, before a task lets the others run
_NO_BYTES = bytes(4)  # FIONREAD's answer
INET = (_stdlib.AF_INET, getattr(_stdlib, "AF_INET6", None))
_IS_LISTENER = (_stdlib.SOL_SOCKET, _stdlib.SO_ACCEPTCONN)


class WaitingSocket(_stdlib.socket):
    """What socket.socket is made of. Its descriptor does not block, whatever the timeout is."""

    __slots__ = ("_drains", "_streak", "_timeout", "_watch")

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        super().__init__(family, type, proto, fileno)
        self._timeout: float | None = _raw.gettimeout(self)  # of SOCK_NONBLOCK, or the default
        self._watch: Watch | None = None
        self._streak = 0
        # A short read tells nothing where (control) messages end it, as on AF_UNIX: TCP only.
        self._drains = (
            _get_type(self) == _stdlib.SOCK_STREAM
            and _get_family(self) in INET
            and _get_proto(self) in (0, _stdlib.IPPROTO_TCP)
        )
        _raw.setblocking(self, False)

    # ---- waiting ----

    def _find_watch(self) -> Watch:
        """The running thread's Watch for it; cached for the thread that waits first."""
        loop = get_loop()
        watch = self._watch
        fd = _get_fd(self)
        if fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        found = loop.watch(fd)
        if watch is None or watch.loop is None:
            self._watch = found
        return found

    def _wait(self, direction: int, deadline: float | None = None) -> float | None:
        """Waits for READ or WRITE after a call would have blocked. Gives the time, by the loop's
        clock, when the timeout is over: `deadline` for further waits of the same call."""
        watch = self._watch
        here = _current()
        if (
            watch is None
            or here is None
            or (loop := watch.loop) is None
            or loop is not here._thread.loop
        ):
            watch = self._find_watch()
        other = watch.reader if direction == READ else watch.writer
        if other is not None:
            self._share(direction, other)
        timeout = self._timeout
        if timeout is not None:
            now = watch.loop.clock()
            if deadline is None:
                deadline = now + timeout
            else:
                timeout = max(0.0, deadline - now)
        self._streak = 0
        if timeout is None and direction == READ and wait_to_read(watch):
            return None
        if not wait_on(watch, direction, timeout):
            raise TimeoutError("timed out")
        return deadline

    def _is_empty(self) -> bool:
        """Has the kernel no data of a stream? It may know of an end or an error all the same."""
        count = bytearray(4)
        try:
            ioctl(_get_fd(self), FIONREAD, count)
        except OSError:  # it is closed, say
            return False
        return count == _NO_BYTES

    def _share(self, direction: int, other: Any) -> None:
        """Another task waits there. ConcurrentObjectUseError for a stream of bytes; connections to
        accept() and datagrams are whole, whoever gets which."""
        if _get_type(self) == _stdlib.SOCK_STREAM and not _raw.getsockopt(self, *_IS_LISTENER):
            what = "read from" if direction == READ else "write to"
            raise ConcurrentObjectUseError(
                f"{other!r} waits to {what} this socket already, and the bytes would be anybody's: "
                "use a lock, or one task for each direction"
            )

    def _rest(self) -> None:
        """Many calls have gone through at once: lets the others run."""
        self._streak = 0
        if self._timeout != 0.0 and type(_current()) is not Loop:  # a callback must not wait
            sleep(0)

    def _repeat(self, direction: int, call: Any, *args: Any, flags: int = 0) -> Any:
        """call(self, *args), as often as it would have blocked. `flags`: those in the arguments."""
        self._streak += 1
        if self._streak > STREAK:
            self._rest()
        deadline = None
        while True:
            try:
                return call(self, *args)
            except BlockingIOError:
                if self._timeout == 0.0 or (flags & DONTWAIT and self._timeout is None):
                    raise
            deadline = self._wait(direction, deadline)

    # ---- timeouts ----

    def settimeout(self, value: Any, /) -> None:
        if value is not None:
            if isinstance(value, (str, bytes, bytearray)):
                raise TypeError(f"timeout must be a number of seconds or None, not {value!r}")
            value = float(value)
            if not value >= 0.0:  # NaN is neither
                raise ValueError(f"Timeout value out of range: {value}")
            if value > _LONGEST:
                raise OverflowError(f"Timeout value out of range: {value}")
        _raw.setblocking(self, False)  # OSError where it is closed
        self._timeout = value

    def gettimeout(self) -> float | None:
        return self._timeout

    def setblocking(self, flag: bool, /) -> None:
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        return self._timeout != 0.0

    @property
    def timeout(self) -> float | None:
        return self._timeout

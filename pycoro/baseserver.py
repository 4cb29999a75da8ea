"""What servers of all kinds have in common: accepting, handlers, and the end. gevent's names.

The listening socket has a callback in the loop, which takes what is there, at most `max_accept` at
a time, and has a handler spawned for each. While the pool is full, nothing is taken. After an error
that is the system's (no descriptors left, say) it tries again `min_delay` seconds later, then
twice that, up to `max_delay`.

A server knows its running handlers, so stop() gives all of them `stop_timeout` seconds and then
kills them; gevent's does so with those in a pool alone.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from . import _native
from .coroutine import current
from .event import Event
from .handlers import Handlers
from .listeners import parse_address, remove_path
from .loop import Loop, get_loop
from .pool import Pool
from .raw import spawn_raw
from .reports import say
from .sleeping import sleep
from .stopsignals import StopSignals
from .task import Task
from .timers import Timer

_current = _native.current

_KILLED = 1.0  # seconds for a killed handler's clean-up code
# accept(2): errors of a connection that has come to nothing, which are not the server's.
_PEERS_ERRORS = frozenset(
    getattr(errno, name)
    for name in (
        *("ECONNABORTED", "EPROTO", "ENOPROTOOPT", "ENETDOWN", "ENETUNREACH", "EHOSTDOWN"),
        *("EHOSTUNREACH", "ENONET", "EOPNOTSUPP", "EINTR", "ETIMEDOUT"),
    )
    if hasattr(errno, name)
)


class BaseServer:
    """Listens at `listener`, an address (listeners.py) or a socket, and calls handle(*args) for
    what do_read() of the subclass gives, in a coroutine of its own; a subclass may have a method
    handle() instead. As a context manager it is stopped at the end of the block.

    spawn: "default" for tasks; "raw" for spawn_raw(); a Pool, or its size as an int, for so many
    at once; any function that is called with the function and arguments; None calls handle() in
    the loop, where it must not wait. Errors: TypeError, ValueError for bad arguments.
    """

    min_delay = 0.01
    max_delay = 1.0
    max_accept = 100
    stop_timeout: float = 1.0  # seconds that stop() waits for running handlers
    fatal_errors: tuple[int, ...] = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
    address: Any
    family: int
    socket: Any  # there is none where the server is closed
    handle: Any
    _spawn: Any = staticmethod(Task.spawn)

    def __init__(self, listener: Any, handle: Any = None, spawn: Any = "default") -> None:
        if self.max_accept < 1:
            raise ValueError(f"max_accept must be a positive int: {self.max_accept!r}")
        self.loop: Loop = get_loop()
        self.pool: Any = None
        self.delay = self.min_delay
        self._stop_event = Event()
        self._stop_event.set()
        self._handlers = Handlers()
        self._timer: Timer | None = None
        self._reading = False  # has the loop our callback?
        self._owns_path = False
        self._handle: Any = None
        self.set_listener(listener)
        self.set_spawn(spawn)
        self.set_handle(handle)

    # ---- how it is set up ----

    def set_listener(self, listener: Any) -> None:
        """Before start(). Errors: TypeError, ValueError."""
        if hasattr(listener, "accept"):
            if hasattr(listener, "do_handshake"):
                raise TypeError(
                    f"Expected a regular socket, not SSLSocket: {listener!r}; give ssl_context "
                    "to the server instead"
                )
            self.family = listener.family
            self.address = listener.getsockname()
            self.socket = listener
        else:
            self.family, self.address = parse_address(listener)

    def set_spawn(self, spawn: Any) -> None:
        """As the argument of the same name."""
        self.pool = None
        if isinstance(spawn, str):
            if spawn == "raw":
                self._spawn = spawn_raw
            elif spawn != "default":
                raise ValueError(f'spawn must be "default" or "raw" where it is a str: {spawn!r}')
        elif hasattr(spawn, "spawn") and not isinstance(spawn, type):
            self.pool = spawn
        elif isinstance(spawn, int) and not isinstance(spawn, bool):
            self.pool = Pool(spawn)
        elif spawn is None or callable(spawn):
            self._spawn = spawn
        else:
            raise TypeError(
                "spawn must be a pool, its size, a function, a name or None, "
                f"not {type(spawn).__name__}"
            )
        if self.pool is not None:
            self._spawn = self.pool.spawn

    def set_handle(self, handle: Any) -> None:
        """What is called for each; None for the method. Errors: TypeError where there is none."""
        if handle is not None:
            if not callable(handle):
                raise TypeError(f"'handle' must be callable, not {type(handle).__name__}")
            self.handle = handle
        if not hasattr(self, "handle"):
            raise TypeError("'handle' must be provided")
        self._handle = self.handle

    # ---- accepting ----

    def start_accepting(self) -> None:
        """Has the loop call us when there is something to take."""
        if not self._reading:
            self.loop.add_reader(self.socket.fileno(), self._do_read)
            self._reading = True

    def stop_accepting(self) -> None:
        """Takes nothing more for now; who comes waits in the kernel's queue."""
        if self._reading:
            self._reading = False
            self.loop.remove_reader(self.socket.fileno())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_accepting_if_started(self, _: Any = None) -> None:
        if self.started:
            self._timer = None
            self.start_accepting()

    def full(self) -> bool:
        """Is the pool full?"""
        pool = self.pool
        return pool is not None and hasattr(pool, "full") and bool(pool.full())

    def _wait_for_room(self) -> None:
        self.stop_accepting()
        room = getattr(self.pool, "_room", None)
        if room is not None:
            room.unlink(self._start_accepting_if_started)
            room.rawlink(self._start_accepting_if_started)
        else:  # somebody else's pool, or full() of a subclass
            self._pause()

    def _pause(self) -> None:
        self.stop_accepting()
        self._timer = self.loop.call_later(self.delay, self._start_accepting_if_started)
        self.delay = min(self.max_delay, self.delay * 2)

    def _do_read(self) -> None:
        """The loop's callback."""
        for _ in range(self.max_accept):
            if not self._reading:  # stopped by another callback, or a handler called at once
                return
            if self.full():
                self._wait_for_room()
                return
            try:
                args = self.do_read()
            except Exception as error:
                if getattr(error, "errno", None) in _PEERS_ERRORS:
                    continue
                self.loop.tell_error(self, error)
                if self.is_fatal_error(error):
                    say(f"ERROR: {self} failed with {error}\n")
                    self.close()
                else:
                    self._pause()
                return
            self.delay = self.min_delay
            if not args:
                return
            try:
                self.do_handle(*args)
            except BaseException as error:
                self.loop.tell_error((args[1:], self), error)
                if self.started:
                    self._pause()
                return

    def do_read(self) -> Any:
        """The arguments of a handler, or None where nothing is there. Must not wait. The
        subclass's."""
        raise NotImplementedError

    def do_handle(self, *args: Any) -> None:
        """Has handle(*args) called, and do_close(*args) after it."""
        try:
            if self._spawn is None:
                self._handle_and_close(*args)
            else:
                self._spawn(self._handle_and_close, *args)
        except BaseException:
            self.do_close(*args)
            raise

    def do_close(self, *args: Any) -> None:
        """Gives back what do_read() gave; the subclass's."""

    def _handle_and_close(self, *args: Any) -> None:
        me = _current()
        running = self._handlers.running
        running.add(me)
        try:
            self._handle(*args)
        finally:
            running.discard(me)
            self.do_close(*args)
            if self._stop_event.is_set():
                self._handlers.ended()

    def is_fatal_error(self, error: BaseException) -> bool:
        """Is the listening socket of no use any more?"""
        return isinstance(error, OSError) and error.errno in self.fatal_errors

    # ---- beginning and end ----

    def init_socket(self) -> None:
        """Makes self.socket where there is none; the subclass's."""

    @property
    def started(self) -> bool:
        """Does it take what comes?"""
        return not self._stop_event.is_set()

    @property
    def closed(self) -> bool:
        """Has it no socket? So it is before start(), unless it was given one."""
        return not hasattr(self, "socket")

    @property
    def server_host(self) -> str | None:
        """The host part of its address."""
        return self.address[0] if isinstance(self.address, tuple) else None

    @property
    def server_port(self) -> int | None:
        """The port that it listens at."""
        return self.address[1] if isinstance(self.address, tuple) else None

    def start(self) -> None:
        """Listens, and takes what comes from now on; does nothing where it does so already. May be
        called again after close(), unless it was given a socket. Errors: OSError."""
        if self.started:
            return
        fresh = not hasattr(self, "socket")
        self.loop = get_loop()
        self.init_socket()
        if fresh:
            self._owns_path = True
        self._stop_event.clear()
        try:
            self.start_accepting()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the listening socket. Running handlers go on. From any thread."""
        here = _current()
        if self.started and (here is None or here._thread is not self.loop._thread):
            self.loop.post_threadsafe(self.close)
            return
        self._stop_event.set()
        if not hasattr(self, "socket"):
            return
        try:
            self.stop_accepting()
            room = getattr(self.pool, "_room", None)
            if room is not None:
                room.unlink(self._start_accepting_if_started)
            if self._owns_path:
                remove_path(self.family, self.address)
            if self.socket.fileno() >= 0 and not self.loop.closed:
                self.loop.unwatch(self.socket.fileno())
        finally:
            self.socket.close()
            del self.socket

    def drain(self) -> None:
        """Called by stop(): tells handlers to end as soon as they can. The subclass's."""

    def stop(self, timeout: float | None = None) -> None:
        """Closes the listening socket, waits for running handlers, `timeout` seconds at most
        (default: stop_timeout), and kills those that are left. The handler that calls this is not
        waited for. In a callback of the loop it returns at once, and a task does the rest."""
        self.close()
        if timeout is None:
            timeout = self.stop_timeout
        if current() is get_loop():
            Task.spawn(self._end_handlers, timeout)
        else:
            self._end_handlers(timeout)

    def _end_handlers(self, timeout: float) -> None:
        handlers = self._handlers
        if self._spawn is not None:
            sleep(0)  # those that have just been spawned begin
        self.drain()
        handlers.join(timeout)
        handlers.kill()
        handlers.join(_KILLED)

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """start(), if need be, then waits until close() or stop() is called, and ends with a
        stop(stop_timeout). In the main program SIGTERM does that, unless the signal has a handler
        already; so does Ctrl-C, which is raised afterwards."""
        if not self.started:
            self.start()
        with StopSignals(self.close):
            try:
                self._stop_event.wait()
            finally:
                # In a task, so that a second Ctrl-C ends only our patience.
                stopping = Task.spawn(self.stop, stop_timeout)
                try:
                    stopping.join()
                except BaseException:
                    self._handlers.kill()
                    raise

    def __enter__(self) -> BaseServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # ---- for people ----

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self._formatinfo()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self._formatinfo()}>"

    def _formatinfo(self) -> str:
        parts = []
        if hasattr(self, "socket"):
            parts.append(f"fileno={self.socket.fileno()}")
        if isinstance(self.address, tuple) and len(self.address) == 2:
            parts.append("address={}:{}".format(*self.address))
        else:
            parts.append(f"address={self.address}")
        handle: Callable[..., Any] | None = vars(self).get("handle")
        if handle is not None:
            # Not the repr() of a method of ours, which would call this one.
            mine = getattr(handle, "__self__", None) is self
            name = f"<bound method {handle.__name__} of self>" if mine else repr(handle)
            parts.append(f"handle={name}")
        return " ".join(parts)

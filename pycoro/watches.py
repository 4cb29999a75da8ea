"""Who waits for which descriptor, and what happens when it is ready.

A descriptor has one Watch for its life. Coroutines that wait for it stand in the Watch, and so do
the callbacks of add_reader() and add_writer(), which are called as long as it is ready.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .poller import DATA, MORE, READ, READABLE, UNUSUAL, WRITABLE, WRITE, Poller, make_poller

_PATIENCE = 9  # how often a reader asks before a Watch is level-triggered no more


class Watch:
    """A descriptor, and who waits for it. `reader`, `writer`: a coroutine each, or None; `crowd`:
    further ones (direction, coroutine, what it waits for); `on_read`, `on_write`: callbacks, as
    Handles."""

    __slots__ = (
        "crowd",
        "drained",
        "fd",
        "level",
        "loop",
        "on_read",
        "on_write",
        "plain",
        "reader",
        "unusual",
        "writer",
    )

    def __init__(self, fd: int, loop: Any) -> None:
        self.fd = fd
        self.loop = loop
        self.reader: Any = None
        self.writer: Any = None
        self.crowd: list[tuple[int, Any, Any]] | None = None
        self.on_read: Any = None
        self.on_write: Any = None
        self.drained = False  # read until it was empty, and no edge since
        self.unusual = False  # an edge told of more than data: end, error, urgent data
        self.plain = True  # nobody has ever been in here but a reader
        # Is it told of again and again? Until it was asked so often. 0: not yet; None: never again.
        self.level: int | None = 0

    def judge_level(self, was_all: bool) -> None:
        """For a reader who cannot tell whether that was all, and has asked. From the first time on
        that it was, each poll tells of what is there to be read. That ends when somebody else
        joins, nobody waits for what there is, there is more at once, or the reader has asked too
        often; and is not begun again."""
        if not self.level:
            if was_all and self.level == 0 and self.plain and self.loop._watches.make_level(self):
                self.level = _PATIENCE
        elif was_all and self.level > 1:
            self.level -= 1
        else:
            with suppress(OSError):  # closed behind our back: the next poll notices
                self.loop._watches.rearm(self)

    def complicate(self) -> None:
        """There will be others in here than a reader. OSError where it has been closed behind our
        back."""
        self.plain = False
        if self.level:
            self.loop._watches.rearm(self)

    def give_up(self) -> None:
        """Its loop does not look after it any more: who keeps it looks for a new one, and does not
        wait for it before."""
        self.loop = None
        self.drained = False
        self.unusual = True  # so it is not found to be drained
        self.level = None
        self.call_nobody()

    def call_nobody(self) -> None:
        """The callbacks are not called any more, even if their turn has come already."""
        for handle in (self.on_read, self.on_write):
            if handle is not None:
                handle.cancel()
        self.on_read = self.on_write = None

    def join_crowd(self, direction: int, waiter: Any, where: Any) -> None:
        """For who is not the only one in that direction, or waits for others too: `where`."""
        self.complicate()
        if self.crowd is None:
            self.crowd = []
        self.crowd.append((direction, waiter, where))

    def forget(self, waiter: Any) -> bool:
        """The coroutine waits no more. True: only its own thread wakes it."""
        if self.reader is waiter:
            self.reader = None
        if self.writer is waiter:
            self.writer = None
        if self.crowd is not None:
            self.crowd = [entry for entry in self.crowd if entry[1] is not waiter] or None
        return True

    @property
    def wanted(self) -> int:
        """READ, WRITE or both, where somebody waits; else 0."""
        wanted = READ if self.reader is not None or self.on_read is not None else 0
        if self.writer is not None or self.on_write is not None:
            wanted |= WRITE
        for direction, _, _ in self.crowd or ():
            wanted |= direction
        return wanted

    def waiters(self) -> list[Any]:
        """The coroutines that wait for it."""
        if self.reader is self.writer is self.crowd is None:
            return []
        waiters: dict[Any, Any] = {None: None, self.reader: self, self.writer: self}
        waiters.update((waiter, where) for _, waiter, where in self.crowd or ())
        del waiters[None]
        return [waiter for waiter, where in waiters.items() if waiter._wait is where]

    def __repr__(self) -> str:
        return f"<Watch of descriptor {self.fd}>"


class Watches:
    """A loop's. `append` is given coroutines that are to go on; `loop` is for them to find back."""

    def __init__(self, loop: Any, append: Callable[[Any], None]) -> None:
        self._loop = loop
        self._append = append
        self._watches: dict[int, Watch] = {}
        self._poller: Poller = make_poller(self._watches)

    def get(self, fd: int) -> Watch:
        """The Watch of a descriptor, made if need be; what is ready now is reported as an edge. It
        may have been closed behind our back and the number used again: then it gets a new one.
        OSError where it cannot be watched: EBADF, or EPERM for a regular file, always ready."""
        watch = self._watches.get(fd)
        is_stray = False  # might the closed one be told of again and again?
        if watch is None:
            self._poller.add(fd)
        elif self._poller.rearm(fd):
            if watch.level:
                watch.level = None
            return watch
        else:
            is_stray = bool(watch.level)
            self._wake(self.remove(watch, closed=True))
        watch = self._watches[fd] = Watch(fd, self._loop)
        if is_stray:
            self._renew_poller()
        return watch

    def find(self, fd: int) -> Watch | None:
        """The Watch of a descriptor, if there is one."""
        return self._watches.get(fd)

    def remove(self, watch: Watch, closed: bool = False) -> list[Any]:
        """Before a descriptor is closed, or once it is. Gives the coroutines that wait for it."""
        level = watch.level
        watch.give_up()
        fd = watch.fd
        if self._watches.get(fd) is watch:
            del self._watches[fd]
            if not closed and not self._poller.discard(fd) and level:
                self._renew_poller()
        return watch.waiters()

    def before_close(self, watch: Watch) -> None:
        """From any thread, before it closes the descriptor: no more reports, if each poll had one.
        The loop removes the Watch after that."""
        if watch.level:
            watch.level = None
            self._poller.discard(watch.fd)

    def _wake(self, waiters: list[Any]) -> None:
        for waiter in waiters:
            waiter._wait = None
            self._append(waiter)

    def rearm(self, watch: Watch) -> None:
        """What is ready now is reported once more."""
        is_known = self._poller.rearm(watch.fd)
        if watch.level:
            watch.level = None
            if not is_known:
                self._renew_poller()

    def look_again(self, watch: Watch, tell_error: Callable[[Any, BaseException], None]) -> None:
        """After a callback, which may have left something there. Where it has closed the descriptor
        behind our back, nobody is called for that any more."""
        if not watch.wanted:
            return
        try:
            self.rearm(watch)
        except OSError as error:
            self._wake(self.remove(watch, closed=True))
            tell_error(watch, error)

    def make_level(self, watch: Watch) -> bool:
        """For Watch.judge_level(). Could that be?"""
        return self._poller.make_level(watch.fd)

    def set_callback(self, fd: int, direction: int, callback: Any) -> bool:
        """A Handle of add_reader() or add_writer(); None removes it. Was there one?"""
        watch = self.get(fd) if callback is not None else self._watches.get(fd)
        if watch is None:
            return False
        name = "on_read" if direction == READ else "on_write"
        if callback is not None:
            watch.complicate()
        former = getattr(watch, name)
        setattr(watch, name, callback)
        if former is not None:
            former.cancel()  # its turn may have come already
        return former is not None

    def awaited(self, own: int) -> bool:
        """Does anybody wait for anything, but for the descriptor `own`?"""
        for watch in self._watches.values():  # a generator would take as long as all the rest
            if (watch.reader is not None or watch.wanted) and watch.fd != own:
                return True
        return False

    def poll(self, timeout: float) -> list[tuple[Watch, Any]]:
        """Waits up to `timeout` seconds, without end if negative. Wakes coroutines; gives the
        callbacks that are to be called, with their watches, to rearm afterwards."""
        find = self._watches.get
        append = self._append
        calls: list[tuple[Watch, Any]] = []
        for fd, bits in self._poller.poll(timeout):
            watch = find(fd)
            if watch is None:
                continue
            watch.drained = False
            if bits == DATA and watch.plain:  # as good as always, for a server
                if (waiter := watch.reader) is not None:
                    watch.reader = waiter._wait = None
                    append(waiter)
                continue
            if watch.level:
                if bits == MORE and (waiter := watch.reader) is not None:
                    watch.reader = waiter._wait = None
                    append(waiter)
                    continue
                try:
                    self.rearm(watch)  # or each poll would tell of what nobody waits for
                except OSError:  # closed behind our back, and open elsewhere
                    self._renew_poller()
            if bits & UNUSUAL:
                watch.unusual = True
            if bits & READABLE:
                if (waiter := watch.reader) is not None:
                    watch.reader = waiter._wait = None
                    append(waiter)
                if watch.on_read is not None:
                    calls.append((watch, watch.on_read))
            if bits & WRITABLE:
                if (waiter := watch.writer) is not None:
                    watch.writer = waiter._wait = None
                    append(waiter)
                if watch.on_write is not None:
                    calls.append((watch, watch.on_write))
            if watch.crowd is not None:
                self._wake_crowd(watch, bits)
        return calls

    def _wake_crowd(self, watch: Watch, bits: int) -> None:
        crowd, watch.crowd = watch.crowd or [], None
        for entry in crowd:
            direction, waiter, where = entry
            if not bits & (READABLE if direction == READ else WRITABLE):
                watch.join_crowd(*entry)
            elif waiter._wait is where:  # else another watch has woken it
                waiter._wait = None
                self._append(waiter)

    def close(self) -> None:
        self._poller.close()
        for watch in self._watches.values():
            watch.give_up()
        self._watches.clear()

    def after_fork(
        self, own: set[int | None], append: Callable[[Any], None], stay: set[Any]
    ) -> None:
        """In the child, whose kernel objects are the parent's too: gets its own, drops the
        descriptors `own`, and forgets all callbacks and who waits, but those who `stay`."""
        self._append = append
        for fd in own & self._watches.keys():
            del self._watches[fd]  # type: ignore[arg-type]  # None is none of them
        for watch in self._watches.values():
            watch.call_nobody()
            watch.reader = watch.reader if watch.reader in stay else None
            watch.writer = watch.writer if watch.writer in stay else None
            watch.crowd = [entry for entry in watch.crowd or () if entry[1] in stay] or None
        self._renew_poller()

    def _renew_poller(self) -> None:
        """Another poller takes over, which knows nothing of descriptors that have been closed. The
        former one is told of those as long as they are open elsewhere, and nothing else ends that:
        level-triggered, it would never sleep again."""
        self._poller.close()
        self._poller = make_poller(self._watches)
        for fd, watch in list(self._watches.items()):
            if watch.level:
                watch.level = 0
            try:
                self._poller.add(fd)
            except OSError:  # closed behind our back
                self._wake(self.remove(watch, closed=True))

"""File objects over descriptors, which let other tasks run meanwhile: gevent.fileobject's names.

FileObjectPosix makes the descriptor not block, which helps with pipes, terminals and sockets; the
kernel reads regular files without waiting for anybody, but for the disk. FileObjectThread leaves
the descriptor alone and has threads do the calls. Both are thin: what does the buffering and the
decoding is the stdlib's io. One task at a time may use such a file; a second one that reads, or
writes, meanwhile gets a RuntimeError of the stdlib's buffers.
"""

from __future__ import annotations

import fcntl
import io
import os as _stdlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakValueDictionary

from . import _native
from .jobs import call_in_thread
from .os import make_nonblocking
from .waiting import wait_read, wait_write

_close = _stdlib.close
_readv = _stdlib.readv
_write = _stdlib.write
_open = io.open
_PIPE_BUF = 512  # bytes that a writable pipe takes without blocking, at the least: POSIX

_unblocked: WeakValueDictionary[int, DescriptorIO] = WeakValueDictionary()  # by descriptor


class DescriptorIO(io.RawIOBase):
    """A descriptor that does not block, unbuffered. `mode`: as of open(); reading, writing or both.
    With `closefd` closing it closes the descriptor, else leaves that as it was found. Errors:
    OSError."""

    def __init__(self, fd: int, mode: str = "r", closefd: bool = True) -> None:
        super().__init__()
        self._fd = fd
        self._reads = "r" in mode or "+" in mode
        self._writes = "r" not in mode or "+" in mode
        self._closefd = closefd
        self._changed = bool(make_nonblocking(fd))
        self._blocks = False  # it has been lent
        if self._changed:
            _unblocked[fd] = self
        self.mode = mode

    @property
    def name(self) -> int:
        return self._fd

    def _check(self, can: bool, what: str) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not can:
            raise io.UnsupportedOperation(what)

    def readable(self) -> bool:
        return self._reads

    def writable(self) -> bool:
        return self._writes

    def seekable(self) -> bool:
        self._check(True, "")
        try:
            _stdlib.lseek(self._fd, 0, _stdlib.SEEK_CUR)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        self._check(True, "")
        return self._fd

    def isatty(self) -> bool:
        self._check(True, "")
        return _stdlib.isatty(self._fd)

    def readinto(self, buffer: Any, /) -> int:
        self._check(self._reads, "not readable")
        if self._blocks:
            wait_read(self._fd)
        while True:
            try:
                return _readv(self._fd, [buffer])
            except BlockingIOError:
                wait_read(self._fd)

    def write(self, data: Any, /) -> int:
        self._check(self._writes, "not writable")
        if self._blocks:
            wait_write(self._fd)
            data = memoryview(data).cast("B")[:_PIPE_BUF]
        while True:
            try:
                return _write(self._fd, data)
            except BlockingIOError:
                wait_write(self._fd)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._check(True, "")
        return _stdlib.lseek(self._fd, offset, whence)

    def truncate(self, size: int | None = None, /) -> int:
        self._check(self._writes, "not writable")
        size = self.tell() if size is None else size
        _stdlib.ftruncate(self._fd, size)
        return size

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if _unblocked.get(self._fd) is self:
            del _unblocked[self._fd]
        here = _native.current()
        if here is not None and here._thread.loop is not None:  # else nobody here waits for it
            here._thread.loop.unwatch(self._fd)
        if self._closefd:
            _close(self._fd)
        elif self._changed:
            flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags & ~_stdlib.O_NONBLOCK)


def lend(file: Any) -> None:
    """Before a child gets it, as a file or a descriptor: it is to block there. That it blocks is
    the same for all who have it; here it is waited for before each call from then on."""
    try:
        one = _unblocked.get(file if isinstance(file, int) else file.fileno())
    except (AttributeError, OSError, ValueError):  # None, or no file: for Popen to say
        return
    if one is not None and not one._blocks:
        one._blocks = True
        _stdlib.set_blocking(one._fd, True)


def open_descriptor(
    fd: int,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
) -> Any:
    """As open() of a descriptor; what it gives reads and writes cooperatively. Errors: ValueError
    for a mode that makes no sense, OSError."""
    binary = "b" in mode
    if sorted(mode.replace("b", "").replace("t", "").replace("+", "")) not in (["r"], ["w"], ["a"]):
        raise ValueError(f"invalid mode: {mode!r}")
    if binary and (encoding is not None or errors is not None or newline is not None):
        raise ValueError("binary mode takes no encoding, errors or newline argument")
    if buffering == 0 and not binary:
        raise ValueError("can't have unbuffered text I/O")
    if buffering == 1 and binary:
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, the default buffer size "
            "will be used",
            RuntimeWarning,
            stacklevel=3,
        )
    raw = DescriptorIO(fd, mode, closefd)
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    buffer: Any
    if "+" in mode:
        buffer = io.BufferedRandom(raw, size)
    elif "r" in mode:
        buffer = io.BufferedReader(raw, size)
    else:
        buffer = io.BufferedWriter(raw, size)
    if binary:
        return buffer
    text = io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering=buffering == 1)
    text.mode = mode  # type: ignore[misc]
    return text


class FileObjectBase:
    """What both kinds have in common: `io` is a file of the stdlib's kind, whose methods are ours.

    fobj: a path, a descriptor, or an object with fileno(), which is closed with this one. The other
    arguments are those of open(); `bufsize` and `close` are gevent's older names for `buffering`
    and `closefd`. Errors: those of open(); TypeError for an fobj that is none of these.
    """

    def __init__(
        self,
        fobj: Any,
        mode: str = "r",
        buffering: int | None = None,
        closefd: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        bufsize: int | None = None,
        close: bool | None = None,
    ) -> None:
        buffering = bufsize if buffering is None else buffering
        closefd = close if closefd is None else closefd
        mode = mode.replace("U", "") or "r"
        self._fobj = fobj
        self._owned: Any = None  # what else is to be closed
        self.io = self._make(
            fobj,
            mode,
            -1 if buffering is None else buffering,
            encoding,
            errors,
            newline,
            True if closefd is None else closefd,
        )

    def _make(self, fobj: Any, *how: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Writes what is buffered, and closes the descriptor unless closefd was False."""
        try:
            self.io.close()
        finally:
            owned, self._owned = self._owned, None
            if owned is not None:
                owned.close()

    @property
    def closed(self) -> bool:
        return bool(self.io.closed)

    def __getattr__(self, name: str) -> Any:
        if name == "io":  # not made: __init__ has failed
            raise AttributeError(name)
        return getattr(self.io, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self.io)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._fobj!r} {self.io!r}>"


class FileObjectPosix(FileObjectBase):
    """Its descriptor does not block; see the module."""

    def _make(
        self,
        fobj: Any,
        mode: str,
        buffering: int,
        encoding: str | None,
        errors: str | None,
        newline: str | None,
        closefd: bool,
    ) -> Any:
        if isinstance(fobj, (str, bytes, _stdlib.PathLike)):
            with _open(fobj, mode.replace("t", "").replace("b", "") + "b", 0) as opened:
                fobj = _stdlib.dup(opened.fileno())
        elif not isinstance(fobj, int):
            if not hasattr(fobj, "fileno"):
                raise TypeError(f"a path, a descriptor or a file was expected, not {fobj!r}")
            if hasattr(fobj, "flush"):
                fobj.flush()
            if closefd:
                self._owned, closefd = fobj, False
            fobj = fobj.fileno()
        mode = mode.replace("x", "w")
        return open_descriptor(fobj, mode, buffering, encoding, errors, newline, closefd)


class FileObjectBlock(FileObjectBase):
    """Its calls are made here and now, and block the loop as long as they last."""

    def _make(
        self,
        fobj: Any,
        mode: str,
        buffering: int,
        encoding: str | None,
        errors: str | None,
        newline: str | None,
        closefd: bool,
    ) -> Any:
        if not isinstance(fobj, (int, str, bytes, _stdlib.PathLike)):
            if hasattr(fobj, "read") or hasattr(fobj, "write"):
                return fobj
            fobj = fobj.fileno()
        return _open(fobj, mode, buffering, encoding, errors, newline, closefd)


class FileObjectThread(FileObjectBlock):
    """Its calls are made in threads, one at a time; see the module."""

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def close(self) -> None:
        call_in_thread(super().close)


def _threaded(name: str) -> Callable[..., Any]:
    def call(self: FileObjectThread, *args: Any, **kwargs: Any) -> Any:
        method = getattr(self.io, name)
        return call_in_thread(lambda: method(*args, **kwargs))

    call.__name__ = name
    return call


for _name in (
    *("read", "read1", "readall", "readinto", "readline", "readlines"),
    *("write", "writelines", "flush", "truncate", "seek", "peek"),
):
    setattr(FileObjectThread, _name, _threaded(_name))


FileObject = FileObjectPosix

__all__ = ["FileObject", "FileObjectBlock", "FileObjectPosix", "FileObjectThread"]

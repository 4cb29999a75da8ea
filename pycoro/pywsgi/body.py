"""The body of a request: wsgi.input, and where it ends.

A source gives its pieces: of so many bytes, or chunks. Chunks are framed here, and each line of
theirs goes by llhttp, which has to agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httptools  # type: ignore[import-not-found,unused-ignore]

from .head import BadRequest, bad

MOST_DISCARDED = 65536  # bytes that the application has not read, to save the connection
_PIECE = 65536  # bytes of a body at a time
_LINE = 4096  # bytes of a chunk's first line, with its extensions, or of a trailer
_TRAILERS = 16384  # bytes in all
_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

Take = Callable[[int], bytes]
"""Gives some bytes that have come, so many at most. Errors: OSError where the client is gone."""


class Sized:
    """A body of so many bytes."""

    __slots__ = ("_take", "left")

    def __init__(self, take: Take, length: int) -> None:
        self._take = take
        self.left = length

    def pull(self) -> bytes:
        """The next piece, b"" at the end. Errors: OSError, BadRequest."""
        if not self.left:
            return b""
        data = self._take(min(self.left, _PIECE))
        self.left -= len(data)
        return data

    @property
    def ended(self) -> bool:
        return not self.left


class Chunked:
    """A body in chunks, `most` bytes of data in all."""

    __slots__ = ("_left", "_most", "_parser", "_seen", "_take", "_take_line", "ended")

    def __init__(self, take: Take, take_line: Take, most: int | None) -> None:
        self._take = take
        self._take_line = take_line
        self._most = most
        self._seen = 0
        self._left = 0  # of this chunk
        self._parser: Any = None
        self.ended = False

    def on_message_complete(self) -> None:
        """httptools' callback."""
        self.ended = True
        self._parser = None

    def pull(self) -> bytes:
        """As Sized.pull()."""
        if self.ended:
            return b""
        if not self._left and not self._begin_chunk():
            return b""
        data = self._take(min(self._left, _PIECE))
        self._feed(data)
        self._left -= len(data)
        if not self._left:
            self._feed(self._take_line(2))
        return data

    def _begin_chunk(self) -> bool:
        """False for the last one."""
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
            self._feed(_CHUNKED)
        line = self._take_line(_LINE)
        self._feed(line)
        self._left = int(line.partition(b";")[0], 16)  # llhttp has agreed
        self._seen += self._left
        if self._most is not None and self._seen > self._most:
            raise BadRequest("413 Content Too Large", f"more than {self._most} bytes in chunks")
        if self._left:
            return True
        room = _TRAILERS
        while not self.ended:
            line = self._take_line(min(_LINE, room))
            self._feed(line)
            room -= len(line)
            if line == b"\r\n" and not self.ended:
                raise bad("a body that does not end where it should")
        return False

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise bad(str(error)) from None


class Input:
    """wsgi.input: read(), readline(), readlines(), iteration, as of a file. `proceed` is called
    before anything is read, where the client waits for that. Errors: BadRequest where the body is
    bad, and other OSErrors where the client is gone."""

    __slots__ = ("_ahead", "_broken", "_proceed", "_source")

    def __init__(self, source: Sized | Chunked, proceed: Callable[[], None] | None) -> None:
        self._source = source
        self._proceed = proceed
        self._ahead = b""
        self._broken: OSError | None = None

    def _next(self) -> bytes:
        """A piece, b"" at the end."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        if self._broken is not None:
            raise self._broken
        if self._proceed is not None:
            proceed, self._proceed = self._proceed, None
            proceed()
        try:
            return self._source.pull()
        except OSError as error:
            self._broken = error
            raise

    def read(self, size: int | None = -1) -> bytes:
        """All, or `size` bytes, fewer at the end alone."""
        left = -1 if size is None or size < 0 else size
        pieces = []
        while left and (piece := self._next()):
            if 0 <= left < len(piece):
                self._ahead = piece[left:]
                piece = piece[:left]
            pieces.append(piece)
            left -= len(piece) if left > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        """A line with its end, or the `size` first bytes of it."""
        left = -1 if size is None or size < 0 else size
        pieces = []
        while left and (piece := self._next()):
            end = piece.find(b"\n") + 1 or len(piece)
            ends = piece[end - 1] == 10
            if 0 <= left <= end:
                end, ends = left, True
            self._ahead = piece[end:]
            pieces.append(piece[:end])
            if ends:
                break
            left -= end if left > 0 else 0
        return b"".join(pieces)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Lines of `hint` bytes in all, or a little more; all without one."""
        lines = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def keeps(self, most: int) -> bool:
        """Would discard() leave the rest, as far as can be told? It may be bad, or too long, and
        where the client still waits to be asked for it, nobody knows whether it will come."""
        source = self._source
        if source.ended:
            return False
        if self._broken is not None or self._proceed is not None:
            return True
        return isinstance(source, Sized) and source.left > most

    def discard(self, most: int) -> bool:
        """Reads the rest, if that is not more than `most` bytes. Has it all been read?"""
        self._ahead = b""
        if self.keeps(most):
            return False
        while most > 0 and (piece := self._next()):
            most -= len(piece)
        return self._source.ended


class _Nothing:
    """The source of an empty body."""

    __slots__ = ()

    ended = True

    def pull(self) -> bytes:
        return b""


EMPTY = Input(_Nothing(), None)  # type: ignore[arg-type]

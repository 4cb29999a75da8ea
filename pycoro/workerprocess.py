"""A worker process of a server: what it does, and what its supervisor (prefork.py) knows of it.

It starts, says so, and serves; or it says why it cannot start. That goes through a pipe of its own,
in one piece.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from select import PIPE_BUF
from typing import Any, NoReturn

from .heartbeat import Heartbeat
from .loop import get_loop

_STARTED = b"+"
_REFUSED = b"-"  # and why


class Refused(Exception):
    """What was asked for cannot be: one line for who asked, and no traceback."""


class Worker:
    """Made before the fork, by the supervisor; `beat`: seconds between two signs of life, or None
    for no such. look() brings the rest up to date. `started`: has it begun to serve? `ended`: how,
    in words, or None where it has not. `why`: what keeps it from starting, in one line."""

    def __init__(self, beat: float | None = None) -> None:
        self.pid = 0
        self.born = 0.0
        self.heart = None if beat is None else Heartbeat(beat)
        self.hung = False  # has it been told to die of that?
        self.last_word = 0.0  # when it is killed, in that case
        self.started = False
        self.ended: str | None = None
        self.why = ""
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._ear, False)

    # ---- for the supervisor ----

    def forked(self, pid: int, call: Callable[[], Any]) -> None:
        """call(): in the loop, when it has said something."""
        self.pid = pid
        self.born = get_loop().clock()
        os.close(self._mouth)
        get_loop().add_reader(self._ear, call)

    def give_up(self) -> None:
        """There has been no fork."""
        os.close(self._ear)
        os.close(self._mouth)

    def look(self) -> None:
        """Has it ended, what has it said? In this order: so the last word is not missed."""
        if self.ended is None:
            self.ended = _ended(self.pid)
        if self._ear < 0:
            return
        try:
            said = os.read(self._ear, PIPE_BUF)
        except BlockingIOError:
            if self.ended is None:
                return
            said = b""  # and children of its own have the pipe
        self.close()
        self.started = said == _STARTED
        self.why = said.removeprefix(_REFUSED).decode(errors="replace")

    def close(self) -> None:
        """Does not listen any more; also in another worker."""
        if self._ear >= 0:
            get_loop().unwatch(self._ear)
            os.close(self._ear)
            self._ear = -1

    # ---- in the process ----

    def run(self, start: Callable[[], Any], serve: Callable[[], Any]) -> NoReturn:
        """All that it does: start(), and serve() until that returns. It has tracebacks told here,
        but for Refused."""
        code = 1
        try:
            self.close()
            if self.heart is not None:
                self.heart.start()
            if self._start(start):
                serve()
                code = 0
        except KeyboardInterrupt:
            code = 0  # of the terminal, to all of us
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError, AttributeError):
                    pass
            os._exit(code)

    def _start(self, start: Callable[[], Any]) -> bool:
        said = _STARTED
        try:
            start()
        except KeyboardInterrupt:
            raise
        except Refused as error:
            said = _REFUSED + str(error).encode(errors="replace")
        except BaseException as error:  # sys.exit(), too: who calls that is not obvious
            traceback.print_exc()
            said = _REFUSED + _in_a_line(error).encode(errors="replace")
        with suppress(BrokenPipeError):  # the supervisor has been killed
            os.write(self._mouth, said[:PIPE_BUF])
        os.close(self._mouth)
        return said == _STARTED


def _in_a_line(error: BaseException) -> str:
    """Type and message, without a SyntaxError's source, and without notes."""
    lines = "".join(traceback.format_exception_only(error)).splitlines()
    return next(line for line in lines if not line[:1].isspace())


def _ended(pid: int) -> str | None:
    """How, or None where it has not."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # somebody else has reaped it
        return "unknown"
    if not found:
        return None
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"

"""What is told of errors that nobody catches: on stderr, or to sys.unraisablehook."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from .threads import run_unraisable


def report(context: Any, error: BaseException) -> None:
    """Writes it to stderr in one piece, as sys.excepthook would, and what it happened in."""
    where = f"Exception in {context!r}:\n" if context is not None else "Exception in the loop:\n"
    say(where + "".join(traceback.format_exception(error)))


def say(text: str) -> None:
    """Writes it to stderr, if there is one, in one piece."""
    stream = sys.stderr
    if stream is not None:
        stream.write(text)
        stream.flush()


def report_unraisable(error: BaseException) -> None:
    """For an error in telling of an error."""

    def fail() -> None:
        raise error

    run_unraisable(fail)

"""What is told of errors that nobody catches: on stderr, or to sys.unraisablehook."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from .threads import run_unraisable


def report(context: Any, error: BaseException) -> None:
    """Writes it to stderr in one piece, as sys.excepthook would, and what it happened in."""
    stream = sys.stderr
    if stream is None:
        return
    where = f"Exception in {context!r}:\n" if context is not None else "Exception in the loop:\n"
    stream.write(where + "".join(traceback.format_exception(error)))
    stream.flush()


def _raise(error: BaseException) -> None:
    raise error


def report_unraisable(error: BaseException) -> None:
    """For an error in telling of an error."""

    def fail() -> None:
        raise error

    run_unraisable(fail)

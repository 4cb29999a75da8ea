"""Stacks as text, for reports: of what runs in any thread, or is suspended, or was once kept.

Frames are let go of at once. With the last reference to a frame that has ended its locals go, in
whichever thread that is; and looking up a line of source lets other threads run.
"""

from __future__ import annotations

import linecache
import sys
from traceback import StackSummary
from types import CodeType
from typing import Any

Place = tuple[CodeType, int | None, bool]

# Who is at the end of a stack only because somebody looks at it, or because it is suspended.
_LOOKING = {f"{__package__}.{name}" for name in ("schedule", "stacks", "tree", "util")}


def frame_of_thread(ident: int) -> Any:
    """The innermost frame of what the thread runs; None where there is no such thread."""
    return sys._current_frames().get(ident)


def call_of(frame: Any) -> Any:
    """The frame that the program, or what it called of ours, was left in: without those in which
    this package looks at itself, or suspends."""
    while frame is not None and frame.f_globals.get("__name__") in _LOOKING:
        frame = frame.f_back
    return frame


def own_of(places: list[Place]) -> list[Place]:
    """Without the calls of this package that led to the first of the program's own, if any."""
    if not all(is_own for _, _, is_own in places):
        while places[-1][2]:
            places = places[:-1]
    return places


def places_of(frame: Any, limit: int | None = None) -> list[Place]:
    """Innermost first: code, line, and is it of this package? At most `limit`. `frame` needs no
    more than f_code, f_lineno, f_back and f_globals, which may be None."""
    places: list[Place] = []
    while frame is not None and len(places) != limit:
        scope = frame.f_globals or {}
        places.append((frame.f_code, frame.f_lineno, scope.get("__package__") == __package__))
        linecache.lazycache(frame.f_code.co_filename, scope)
        frame = frame.f_back
    return places


def summary_of(places: list[Place]) -> StackSummary:
    """As traceback has it: the outermost first."""
    return StackSummary.from_list(
        [(code.co_filename, line or 0, code.co_name, None) for code, line, _ in reversed(places)]
    )


def lines_of(summary: StackSummary) -> list[str]:
    """As in a traceback, each call with its source."""
    return [line for text in summary.format() for line in text.rstrip("\n").split("\n")]


def text_of(places: list[Place]) -> list[str]:
    """As in a traceback, in lines: the outermost first, each with its source."""
    return lines_of(summary_of(places))

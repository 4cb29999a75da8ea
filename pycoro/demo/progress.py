"""A line on the terminal that is drawn again and again, and is gone at the end.

Nothing is written where standard error is no terminal.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType

EVERY = 0.1  # seconds between two drawings
BAR = 30  # characters
CLEAR = "\r\033[K"


class Progress:
    """Call it with what is under way, how much is done and of how much."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.visible = sys.stderr.isatty()
        self.next = 0.0

    def __enter__(self) -> Progress:
        return self

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self.visible and now >= self.next:
            self.next = now + EVERY
            bar = "#" * (BAR * done // max(total, 1))
            text = f"{self.label:<8} {stage:<10} [{bar:<{BAR}}] {done:>9,} of {total:,}"
            self.write(CLEAR + text)

    def write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.visible:
            self.write(CLEAR)

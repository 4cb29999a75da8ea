"""Samples and comparisons: how a figure comes about, and what is kept of it.

The machine may be busy with other things, so implementations take turns, one sample each in every
round. Of short samples the best one counts: noise only makes them worse, and among many each
implementation has a quiet one. Samples of a second or more are few, and may have no quiet one: the
best would tell who was lucky. These are compared round by round, and the median ratio counts
(`paired`). What is judged is a ratio on one interpreter. All samples are kept, with their spread.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

Run = Callable[[int], object]
"""Does the thing that is measured n times."""

SHARE = "share of its core"
"""Among details: of the CPU time that a server could have had, what it got."""

CLIENT_SHARE = "the client's share of its core"
"""The same of the client: where that is busy all the time, a server that is faster has to wait."""

Sample = Callable[[], float]
"""Measures once and gives the figure."""


@dataclass(frozen=True)
class Goal:
    """A figure, or its ratio to another one's, and what it should not exceed (or fall short of,
    where more is better); None where it is only told."""

    what: str
    limit: float | None
    of: str = "pycoro"
    against: str | None = None
    """Whose figure to divide by; None: the figure itself counts."""

    python: tuple[int, int] = (3, 11)
    """From this version of Python on."""


@dataclass
class Comparison:
    """The figures of one benchmark, in `unit`: for each implementation its best sample, or its
    median where `paired`. `samples` are in order of measuring; `details` are whatever else was
    seen, by implementation."""

    title: str
    unit: str
    more_is_better: bool = False
    paired: bool = False
    goals: list[Goal] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    busy: float = 0.0
    """Load average when it was measured, for each core: above 1, others were in the way."""

    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))

    @property
    def figures(self) -> dict[str, float]:
        choose = statistics.median if self.paired else max if self.more_is_better else min
        return {name: choose(samples) for name, samples in self.samples.items() if samples}

    def divide(self, name: str, other: str) -> float:
        """How many times the other's figure: of figures, or the median of each round's ratio."""
        if not self.paired:
            return self.figures[name] / self.figures[other]
        rounds = zip(self.samples[name], self.samples[other], strict=True)
        return statistics.median(mine / its for mine, its in rounds)

    def ratio(self, name: str) -> float | None:
        """Of pycoro to this one, at the same depth if names end in " at DEPTH"."""
        _, at, depth = name.partition(" at ")
        own = "pycoro" + at + depth
        return self.divide(own, name) if self.samples.get(own) and own != name else None

    def was_disturbed(self) -> bool:
        """Was the machine overloaded, or did some server, and its client too, get much less of
        its core than it could have used?"""
        shares = [
            max(seen[SHARE], seen.get(CLIENT_SHARE, 0.0))
            for seen in self.details.values()
            if SHARE in seen
        ]
        return self.busy > 1.25 or (bool(shares) and min(shares) < 0.85)

    def judge(self, goal: Goal) -> tuple[float, float | None, bool | None] | None:
        """(figure, ratio or None, met or not); None where what it takes was not measured."""
        figures = self.figures
        if goal.of not in figures or (goal.against is not None and goal.against not in figures):
            return None
        figure = figures[goal.of]
        ratio = None if goal.against is None else self.divide(goal.of, goal.against)
        judged = figure if ratio is None else ratio
        if goal.limit is None:
            return figure, ratio, None
        met = judged >= goal.limit if self.more_is_better else judged <= goal.limit
        return figure, ratio, met

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Comparison:
        goals = [Goal(**{**goal, "python": tuple(goal["python"])}) for goal in data["goals"]]
        return cls(**{**data, "goals": goals})


def nanoseconds(run: Run, *, seconds: float = 0.002, count: int = 0) -> Sample:
    """A sample of run(n) in nanoseconds for each of the n: n is `count`, or chosen so that one
    sample takes about `seconds`: less than the scheduler's time slice, so that even on a busy
    machine some samples are not interrupted."""
    n = count or _calibrate(run, seconds)

    def sample() -> float:
        gc.collect()  # what others left behind is not this one's
        return _time(run, n) / n * 1e9

    return sample


def _calibrate(run: Run, seconds: float) -> int:
    # The best of three: one interruption must not make all samples of this run too short.
    n = 1
    while (taken := min(_time(run, n) for _ in range(3))) < seconds / 2:
        n = max(n * 2, min(n * 50, int(n * seconds / max(taken, 1e-7))))
    return n


def _time(run: Run, n: int) -> float:
    start = time.perf_counter()
    run(n)
    return time.perf_counter() - start


def progress(text: str) -> None:
    """Shows how far things are, where somebody watches: one line, which the next one replaces."""
    if sys.stderr.isatty():
        width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()

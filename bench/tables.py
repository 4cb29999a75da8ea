"""Comparisons as text: lines for a terminal, tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.measure import Comparison, Goal


def figure_text(figure: float, unit: str) -> str:
    """The figure with its unit, as many digits as mean something."""
    if unit == "ns" and figure >= 100_000:
        figure, unit = figure / 1000, "µs"
    if unit == "bytes":
        return f"{figure:,.0f} bytes"
    digits = 0 if figure >= 100 else 1 if figure >= 10 else 2
    return f"{figure:,.{digits}f} {unit}".rstrip()


def ratio_text(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 1 else f"{ratio:.2f}"


def is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def goal_text(goal: Goal, comparison: Comparison) -> str:
    if goal.limit is None:
        return "none"
    sense = "at least" if comparison.more_is_better else "at most"
    if goal.against is None:
        return f"{sense} {figure_text(goal.limit, comparison.unit)}"
    return f"{sense} {goal.limit:g} times {goal.against}"


def verdict_text(met: bool | None) -> str:
    return "" if met is None else "met" if met else "NOT MET"


def comparison_lines(comparison: Comparison, python: tuple[int, int]) -> Iterator[str]:
    """What was compared, each one's figure with the ratio of pycoro's to it, and which goals are
    met."""
    yield comparison.title
    figures = comparison.figures
    width = max(map(len, figures), default=0)
    for name, figure in figures.items():
        ratio = comparison.ratio(name)
        line = f"    {name:{width}}  {figure_text(figure, comparison.unit):>16}"
        line += f"  {'' if ratio is None else ratio_text(ratio):>7}"
        details = comparison.details.get(name, {})
        plain = (f"{key}: {value:,.4g}" for key, value in details.items() if is_number(value))
        yield f"{line}  {', '.join(plain)}".rstrip()
    for goal in comparison.goals:
        if python < goal.python:
            continue
        judged = comparison.judge(goal)
        if judged is None:
            yield f"    goal: {goal.what}: not measured"
        else:
            figure, ratio, met = judged
            shown = figure_text(figure, comparison.unit) if ratio is None else ratio_text(ratio)
            verdict = verdict_text(met)
            yield f"    goal: {goal.what}: {shown}, {goal_text(goal, comparison)} {verdict}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; all columns but the first are numbers, or short, and right-aligned."""
    lines = [list(header), [":--", *["--:"] * (len(header) - 1)], *map(list, rows)]
    return ["| " + " | ".join(cells) + " |" for cells in lines]

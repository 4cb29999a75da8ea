"""The pages of bench/results/: results as Markdown, for one version of Python and for all."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from bench.measure import Comparison, Goal
from bench.results import Results
from bench.tables import figure_text, goal_text, is_number, markdown, ratio_text, verdict_text

HOW = """\
Implementations take turns, one sample each in every round. The best sample of each counts; for
requests per second, whose samples are long and few, the median, and of ratios the median of each
round's. Ratios are pycoro's figure divided by the peer's, on the same interpreter in the same run:
below 1 is better for times and memory, above 1 for requests per second. Absolute figures are those
of this machine, with whatever else it did at the time.\
"""

DISTURBED = "The machine was busy with other things while this was measured: take it as rough."


def version_page(results: Results) -> str:
    lines = [f"# pycoro on Python {results.versions['Python']}", "", HOW, ""]
    lines += _circumstances(results)
    lines += ["## Goals", ""]
    header = ("goal", "pycoro", "peer", "ratio", "limit", "")
    lines += [*markdown(header, _goal_rows(results)), ""]
    for comparison in results.comparisons:
        lines += [f"## {comparison.title[:1].upper()}{comparison.title[1:]}", ""]
        lines += [*_comparison_table(comparison), ""]
        if comparison.was_disturbed():
            lines += [f"{DISTURBED} Load average for each core: {comparison.busy:.1f}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def combined_page(all_results: list[Results], plots: list[str]) -> str:
    """All versions side by side; `plots` are files to be shown."""
    lines = ["# Benchmark results", "", HOW, ""]
    lines += [*_combined_goals(all_results), ""]
    for plot in plots:
        title = plot.partition(".")[0].replace("-", " ")
        lines += [f"![{title}]({plot})", ""]
    lines += ["## Versions and machine", ""]
    for one in all_results:
        disturbed = sum(comparison.was_disturbed() for comparison in one.comparisons)
        if disturbed:
            total = len(one.comparisons)
            lines += [f"{one.name}: the machine was busy during {disturbed} of {total}.", ""]
    names = list(dict.fromkeys(name for one in all_results for name in one.versions))
    header = ["", *(f"[{one.name}]({one.name}.md)" for one in all_results)]
    rows = [[name, *(one.versions.get(name, "") for one in all_results)] for name in names]
    rows.append(["measured", *(one.dates for one in all_results)])
    for fact in all_results[-1].machine:
        rows.append([fact, *(one.machine.get(fact, "") for one in all_results)])
    return "\n".join([*lines, *markdown(header, rows)]) + "\n"


def _circumstances(results: Results) -> Iterator[str]:
    yield f"Measured {results.dates}."
    yield ""
    facts = {**results.versions, **results.machine}
    yield from (f"- {name}: {value}" for name, value in facts.items())
    yield ""
    for name in results.missing():
        yield f"{name} is not installed for this Python: what compares with it is not measured."
        yield ""


def _goals(results: Results) -> Iterator[tuple[Goal, Comparison]]:
    for comparison in results.comparisons:
        for goal in comparison.goals:
            if results.python >= goal.python:
                yield goal, comparison


def _goal_rows(results: Results) -> Iterator[list[str]]:
    for goal, comparison in _goals(results):
        judged = comparison.judge(goal)
        if judged is None:
            figure = comparison.figures.get(goal.of)
            own = "" if figure is None else figure_text(figure, comparison.unit)
            yield [goal.what, own, "", "", goal_text(goal, comparison), "not measured"]
            continue
        figure, ratio, met = judged
        peer = (
            ""
            if goal.against is None
            else figure_text(comparison.figures[goal.against], comparison.unit)
        )
        yield [
            goal.what,
            figure_text(figure, comparison.unit),
            peer,
            "" if ratio is None else ratio_text(ratio),
            goal_text(goal, comparison),
            verdict_text(met),
        ]


def _combined_goals(all_results: list[Results]) -> list[str]:
    cells: dict[str, dict[str, str]] = {}
    limits: dict[str, str] = {}
    for results in all_results:
        for goal, comparison in _goals(results):
            limits[goal.what] = goal_text(goal, comparison)
            judged = comparison.judge(goal)
            if judged is None:
                text = "not measured"
            else:
                figure, ratio, met = judged
                text = figure_text(figure, comparison.unit) if ratio is None else ratio_text(ratio)
                text = f"**{text}**, not met" if met is False else text
            cells.setdefault(goal.what, {})[results.name] = text
    names = [one.name for one in all_results]
    header = ["goal", "limit", *(".".join(map(str, one.python)) for one in all_results)]
    rows = [
        [what, limits[what], *(row.get(name, "") for name in names)] for what, row in cells.items()
    ]
    return markdown(header, rows)


def _comparison_table(comparison: Comparison) -> list[str]:
    extra = _extra_columns(comparison)
    header = ["", "figure", "best", "median", "worst", "rounds", "pycoro's ratio to it", *extra]
    rows = []
    for name, figure in comparison.figures.items():
        samples = comparison.samples[name]
        ratio = comparison.ratio(name)
        row = [
            name,
            figure_text(figure, comparison.unit),
            *(figure_text(sample, "") for sample in _spread(comparison, samples)),
            str(len(samples)),
            "" if ratio is None else ratio_text(ratio),
        ]
        details = comparison.details.get(name, {})
        rows.append([*row, *(_extra_text(details.get(key)) for key in extra)])
    return markdown(header, rows)


def _spread(comparison: Comparison, samples: list[float]) -> tuple[float, float, float]:
    ordered = sorted(samples, reverse=comparison.more_is_better)
    return ordered[0], statistics.median(ordered), ordered[-1]


def _extra_columns(comparison: Comparison) -> list[str]:
    """Names of details that are plain numbers."""
    columns: dict[str, None] = {}
    for details in comparison.details.values():
        columns |= {key: None for key, value in details.items() if is_number(value)}
    return list(columns)


def _extra_text(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"

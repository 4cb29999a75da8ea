"""Groups of bars, one bar for each implementation, which has the same colour in all pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

NAMED_COLOURS = {"pycoro": "#1b6ca8", "pycoro task": "#7fb3d8"}
OTHER_COLOURS = ("#d95f02", "#e6ab02", "#66a61e", "#7570b3", "#a6761d", "#999999")
AXES = {  # by unit: label, factor, format of a figure
    "bytes": ("bytes, resident and page tables", 1.0, "{:,.0f}"),
    "requests/s": ("thousand requests per second", 1e-3, "{:.1f}"),
    "ns": ("µs (less is better)", 1e-3, "{:.1f}"),
}


def choose_colours(names: Iterable[str]) -> dict[str, str]:
    others = iter(OTHER_COLOURS)
    return {name: NAMED_COLOURS.get(name) or next(others) for name in names}


def draw_bars(
    axis: Any,
    series: dict[str, list[float]],
    colours: dict[str, str],
    label: Callable[[float], str],
) -> None:
    """A bar for each name, side by side in each group; of 0, that it was not measured. A name that
    was measured nowhere is left out."""
    width = 0.86 / len(series)
    for index, (name, heights) in enumerate(series.items()):
        if not any(heights):
            continue
        lefts = [place - 0.43 + (index + 0.5) * width for place in range(len(heights))]
        axis.bar(lefts, heights, width * 0.95, color=colours[name], label=name)
        for left, height in zip(lefts, heights, strict=True):
            axis.annotate(
                label(height) if height else "not measured",
                (left, height),
                (0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                rotation=90,
            )
    axis.margins(y=0.2)

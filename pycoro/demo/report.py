"""The table that `python -m pycoro` prints. Knows figures, not how they came about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Figures = dict[str, Any]

MISSING = "-"


@dataclass
class Column:
    """One world's figures, as EchoResult and BareResult have them; empty where there are none."""

    title: str
    version: str
    echo: Figures = field(default_factory=dict)
    bare: Figures = field(default_factory=dict)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _seconds(value: float) -> str:
    return f"{value:.2f}"


def _rate(echo: Figures) -> float:
    return float(echo["messages"] / echo["echo_seconds"])


def _each(echo: Figures) -> float:
    return float(echo["memory"] / echo["connections"])


def _field(name: str) -> Callable[[Figures], float]:
    return lambda figures: float(figures[name])


# Label, "echo" or "bare", figure, format.
ROWS: list[tuple[str, str, Callable[[Figures], float], Callable[[float], str]]] = [
    ("connections open at once", "echo", _field("connections"), _count),
    ("messages, each verified", "echo", _field("messages"), _count),
    ("bytes echoed", "echo", _field("bytes"), _count),
    ("seconds to connect all", "echo", _field("connect_seconds"), _seconds),
    ("seconds to echo all", "echo", _field("echo_seconds"), _seconds),
    ("processor seconds of that", "echo", _field("echo_processor_seconds"), _seconds),
    ("messages a second", "echo", _rate, _count),
    ("bytes of memory a connection", "echo", _each, _count),
    ("switches a second, bare", "bare", _field("switches"), _count),
    ("bytes of memory, one suspended", "bare", _field("memory"), _count),
]

LEGEND = """\
A connection is two of them, one at each end, with their sockets. Memory is resident pages and page
tables. "Bare" is switching between two with no input or output; asyncio goes through its loop."""


def table(columns: list[Column]) -> str:
    """Rows by columns, figures right-aligned, a dash where there is none."""
    cells = [["", *(column.title for column in columns)]]
    cells.append(["", *(column.version for column in columns)])
    for label, kind, figure, form in ROWS:
        row = [label]
        for column in columns:
            figures = column.echo if kind == "echo" else column.bare
            row.append(form(figure(figures)) if figures else MISSING)
        cells.append(row)
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    lines = []
    for label, *figures_of_row in cells:
        padded = [cell.rjust(to) for cell, to in zip(figures_of_row, widths[1:], strict=True)]
        lines.append("  ".join([label.ljust(widths[0]), *padded]).rstrip())
    return "\n".join(lines)

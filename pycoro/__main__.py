"""python -m pycoro: serves and drives thousands of coroutine clients, and prints the figures.

The echo server and its clients run in this process; the same run on gevent, asyncio and threads,
where they are there, each in a fresh one. What is measured, and how, is in the package demo.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .demo import report, system, with_pycoro, worker
from .demo.progress import Progress
from .demo.world import DemoError
from .programs import printing

CLIENTS = 10_000
MESSAGES = 10
THREAD_CLIENTS = 500  # two threads each: more of them take a system to its limits


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 where pycoro's own run failed, 130 after Ctrl-C."""
    options = parse(arguments)
    descriptors = system.raise_descriptor_limit()
    clients = min(options.clients, system.most_clients(descriptors))
    notes: list[str] = []
    if clients < options.clients:
        notes.append(
            f"{clients:,} clients instead of {options.clients:,}: the limit of open descriptors is "
            f"{descriptors:,} and each client takes two (raise it: ulimit -Hn)"
        )
    try:
        if clients < 1:
            raise DemoError(f"{descriptors:,} open descriptors are too few (raise it: ulimit -Hn)")
        columns = [measure_pycoro(clients, options.messages)]
        if not options.no_peers:
            columns += measure_peers(clients, options.messages, notes)
    except (DemoError, OSError, MemoryError) as error:
        print(f"pycoro: {error or 'out of memory'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(as_json(columns, notes), indent=2))
    else:
        print_report(columns, notes)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pycoro",
        description="Starts an echo server in this process, drives it over loopback with many "
        "coroutine clients that are all connected at once, and prints what was served beside "
        "the same run on gevent, asyncio and threads.",
    )
    parser.add_argument(
        "--clients", type=positive, default=CLIENTS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--messages", type=positive, default=MESSAGES, metavar="N", help="of each; %(default)s"
    )
    parser.add_argument("--no-peers", action="store_true", help="pycoro alone")
    parser.add_argument("--json", action="store_true", help="figures for programs")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return number


def measure_pycoro(clients: int, messages: int) -> report.Column:
    with Progress("pycoro") as show:
        echo = with_pycoro.run_echo(clients, messages, show)
    bare = worker.measure("with_pycoro", "bare")
    return report.Column("pycoro", version_of("pycoro"), asdict(echo), bare)


def measure_peers(clients: int, messages: int, notes: list[str]) -> list[report.Column]:
    """Adds a note for each that is not there, fails, or runs with fewer clients."""
    columns = []
    if installed("gevent"):
        columns.append(measure_peer("gevent", "gevent", clients, messages, notes))
    else:
        notes.append("gevent is not there: pip install gevent")
        if installed("greenlet"):
            columns.append(measure_peer("greenlet", "greenlet", 0, messages, notes))
    columns.append(measure_peer("asyncio", "", clients, messages, notes))
    few = min(clients, THREAD_CLIENTS)
    if few < clients:
        notes.append(f"threads: {few:,} clients, two threads each: its rates are of a smaller run")
    columns.append(measure_peer("threads", "", few, messages, notes))
    return columns


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # imported from a source tree
        return "source"


def measure_peer(
    name: str, distribution: str, clients: int, messages: int, notes: list[str]
) -> report.Column:
    """distribution: whose version to show, the interpreter's if empty; no clients: no echo run."""
    version = version_of(distribution) if distribution else platform.python_version()
    column = report.Column(name, version)
    try:
        if clients:
            column.echo = worker.measure(f"with_{name}", "echo", clients, messages)
        column.bare = worker.measure(f"with_{name}", "bare")
    except DemoError as error:
        notes.append(f"{name}: {error}")
    return column


def as_json(columns: list[report.Column], notes: list[str]) -> dict[str, Any]:
    return {
        "system": system.describe(),
        "worlds": {column.title: asdict(column) for column in columns},
        "notes": notes,
    }


def print_report(columns: list[report.Column], notes: list[str]) -> None:
    echo = columns[0].echo
    print(
        f"pycoro served {echo['connections']:,} connections at once and echoed "
        f"{echo['messages']:,} messages, all equal to what was sent."
    )
    print(f"{system.describe()}\n\n{report.table(columns)}\n\n{report.LEGEND}")
    for note in notes:
        print(f"Note: {note}.")


if __name__ == "__main__":
    with printing():
        sys.exit(main())

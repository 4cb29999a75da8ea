"""A measurement as a process of its own: its command line, its answer as one line of JSON.

    python -m pycoro.demo.with_NAME echo CLIENTS MESSAGES
    python -m pycoro.demo.with_NAME bare

An object with "error" holds a sentence instead of figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from .progress import Progress
from .system import raise_descriptor_limit
from .world import BareResult, DemoError, EchoResult, Show


def main(
    name: str,
    echo: Callable[[int, int, Show], EchoResult],
    bare: Callable[[], BareResult],
    arguments: list[str],
) -> None:
    """The main program of a with_*.py module."""
    try:
        result: EchoResult | BareResult
        if arguments[0] == "echo":
            raise_descriptor_limit()
            with Progress(name) as show:
                result = echo(int(arguments[1]), int(arguments[2]), show)
        else:
            result = bare()
        print(json.dumps(asdict(result)), flush=True)
    except (DemoError, OSError, MemoryError) as error:
        print(json.dumps({"error": str(error) or "out of memory"}), flush=True)
        os._exit(0)  # not held up by threads and tasks that wait for what never comes


def measure(module: str, *arguments: object) -> dict[str, Any]:
    """Runs that module in a fresh interpreter and returns its figures.

    Errors: DemoError with the process's own sentence, or with the last line that it said.
    """
    command = [sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
    if process.returncode != 0 or not output:
        raise DemoError(f"its process ended with status {process.returncode}")
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    if "error" in answer:
        raise DemoError(answer["error"])
    return answer

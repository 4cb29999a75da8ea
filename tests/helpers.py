"""What the tests of coroutines share: a pair of implementations, and Python in its own process.

`same(scenario)` plays one scenario on pycoro and on greenlet (PyPI), whose semantics ours are,
and insists that both record the same. `run_python` plays what may crash, hang or end the process.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import greenlet
import pytest

import pycoro
from pycoro.programs import is_module

ROOT = Path(__file__).resolve().parent.parent

# For what counts stacks and pages; nothing else may depend on that build.
needs_reuse = pytest.mark.skipif(
    "-DPC_STACK_HOSTILE" in os.environ.get("PYCORO_CFLAGS", ""),
    reason="built with -DPC_STACK_HOSTILE: no stack is used again soon",
)


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skips the test where one of them is not installed."""
    missing = [name for name in modules if not is_module(name)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@dataclass(frozen=True)
class Implementation:
    """One of the two, under the names that both can be driven by."""

    name: str
    new: Callable[..., Any]  # new(run, parent=None)
    current: Callable[[], Any]
    Exit: type[BaseException]
    Error: type[BaseException]
    frame: Callable[[Any], Any]
    context: Callable[[Any], Any]

    def started(self, coroutine: Any) -> bool:
        """Has it begun and not ended?"""
        if self.name == "greenlet":
            return bool(coroutine)
        return bool(coroutine.started and not coroutine.dead)


PYCORO = Implementation(
    name="pycoro",
    new=pycoro.Coroutine,
    current=pycoro.current,
    Exit=pycoro.CoroutineExit,
    Error=pycoro.CoroutineError,
    frame=lambda coroutine: coroutine.frame,
    context=lambda coroutine: coroutine.context,
)

GREENLET = Implementation(
    name="greenlet",
    new=greenlet.greenlet,
    current=greenlet.getcurrent,
    Exit=greenlet.GreenletExit,
    Error=greenlet.error,
    frame=lambda coroutine: coroutine.gr_frame,
    context=lambda coroutine: coroutine.gr_context,
)

Log = list[Any]


def same(scenario: Callable[[Implementation, Log], None]) -> Log:
    """What the scenario records, which must be the same on both."""
    ours: Log = []
    scenario(PYCORO, ours)
    theirs: Log = []
    scenario(GREENLET, theirs)
    # A greenlet unwinds by switching: left to a later collection, inside a coroutine, it would
    # switch to a stack that it knows nothing of.
    gc.collect()
    assert ours == theirs, "pycoro (left) and greenlet (right) differ"
    return ours


def run_python(
    code: str, *options: str, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the code in a new interpreter that can import pycoro and this module. One that hangs
    fails the test by subprocess.TimeoutExpired."""
    path = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            # From 3.12 a fork beside threads is warned of; tests look at stderr.
            "PYTHONWARNINGS": "ignore:This process:DeprecationWarning",
            "PYTHONUNBUFFERED": "",  # a line is written whole, also beside a forked child's
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def output_of(code: str, *options: str, timeout: float = 60, **environment: str) -> list[str]:
    """The lines that the code prints; it must exit with 0 and leave stderr clean."""
    done = run_python(code, *options, timeout=timeout, **environment)
    assert (done.stderr, done.returncode) == ("", 0), (
        f"exit code {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    )
    return done.stdout.splitlines()


def in_thread(function: Callable[[], Any]) -> Any:
    """The function's result, or exception, from a thread of its own that has ended."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append((True, function()))
        except BaseException as error:
            result.append((False, error))

    worker = threading.Thread(target=run)
    worker.start()
    worker.join(60)
    assert result, "the thread hangs"
    good, value = result.pop()
    if good:
        return value
    raise value

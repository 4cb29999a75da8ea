"""python -m pycoro: what it prints, for people and for programs, and what it says when it cannot.

Runs it as a user does, in a process of its own, small enough to take a second or two.
"""

from __future__ import annotations

import json
import os
import pty
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pycoro
from pycoro.demo import echo, report, system
from pycoro.demo.world import DemoError

ROOT = Path(pycoro.__file__).parent.parent  # of the one that is tested, installed or not
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pycoro", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        env=ENVIRONMENT,
        **options,
    )


def limit_descriptors(count: int) -> Any:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def test_figures_of_pycoro_alone() -> None:
    done = run("--clients", "300", "--messages", "7", "--no-peers", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert list(answer["worlds"]) == ["pycoro"]
    assert answer["notes"] == []
    figures = answer["worlds"]["pycoro"]
    served = figures["echo"]
    assert (served["connections"], served["messages"], served["bytes"]) == (300, 2100, 2100 * 64)
    assert served["echo_seconds"] > 0 and served["connect_seconds"] > 0
    assert figures["bare"]["switches"] > 1000
    assert 1000 < figures["bare"]["memory"] < 20_000


def test_table_beside_peers() -> None:
    done = run("--clients", "40", "--messages", "2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "pycoro served 40 connections at once and echoed 80 messages, all equal to what was sent."
    )
    titles = lines[3].split()
    assert titles[0] == "pycoro" and titles[-2:] == ["asyncio", "threads"]
    rows = {line[:30].strip(): line[30:].split() for line in lines[5:15]}
    assert set(rows["messages, each verified"]) <= {"80", "-"}
    assert rows["messages, each verified"][0] == rows["messages, each verified"][-1] == "80"
    assert "-" not in [row[0] for row in rows.values()]
    assert [label for label, *_ in report.ROWS] == list(rows)


def test_fewer_descriptors_are_said() -> None:
    done = run("--no-peers", "--json", preexec_fn=limit_descriptors(240))
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["worlds"]["pycoro"]["echo"]["connections"] == 100
    assert answer["notes"] == [
        "100 clients instead of 10,000: the limit of open descriptors is 240 and each client "
        "takes two (raise it: ulimit -Hn)"
    ]


def test_too_few_descriptors_are_an_error() -> None:
    done = run("--no-peers", preexec_fn=limit_descriptors(30))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pycoro: 30 open descriptors are too few (raise it: ulimit -Hn)\n"


@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_numbers_are_checked(value: str) -> None:
    done = run(f"--clients={value}")
    assert done.returncode == 2
    assert f"--clients: must be a whole number from 1, not '{value}'" in done.stderr


def test_progress_on_a_terminal() -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "pycoro", "--clients=200", "--messages=40", "--no-peers"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=terminal, env=ENVIRONMENT
    ) as process:
        os.close(terminal)
        drawn = b""
        try:
            while data := os.read(controller, 4096):
                drawn += data
        except OSError:  # how Linux says that nobody has the terminal open any more
            pass
        os.close(controller)
    assert process.returncode == 0
    lines = drawn.decode().split("\r\033[K")
    assert lines[0] == "" and lines[-1] == ""
    assert lines[1].startswith("pycoro   connecting [") and lines[1].endswith(" of 200")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(24, "Too many open files"), "no descriptor left with 5 connections open"),
        (OSError(99, "Cannot assign requested address"), "no local port left with 5 connections"),
        (MemoryError("no stack"), "no memory left with 5 connections open: no stack"),
        (RuntimeError("can't start new thread"), "no thread left with 5 connections open"),
        (ConnectionResetError(104, "reset"), "the run stopped with 5 connections open"),
    ],
)
def test_errors_are_sentences(error: Exception, sentence: str) -> None:
    assert echo.explain(error, 5).startswith(sentence)


def test_a_wrong_reply_is_noticed() -> None:
    message = echo.make_message(3, 1)
    echo.check_reply(message, message)
    with pytest.raises(DemoError, match="answered b'nonsense'"):
        echo.check_reply(message, b"nonsense")
    messages = {echo.make_message(number, turn) for number in range(20) for turn in range(20)}
    assert len(messages) == 400


def test_clients_that_fit() -> None:
    assert [system.most_clients(limit) for limit in (10, 40, 42, 1024)] == [0, 0, 1, 492]

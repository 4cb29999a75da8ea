"""Celery's workers for the tests of them: processes, what they are sent, and what they say.

Skips who imports it where Celery or the Redis server is missing.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.conftest import SERVERS, skip_without

TESTS = Path(__file__).parent.parent

exceptions = pytest.importorskip(
    "celery.exceptions", reason="celery is missing: pip install 'pycoro[celery]'"
)
skip_without(SERVERS["redis"][1], allow_module_level=True)

celery_app: Any = importlib.import_module("clients.celery_app")
PATIENCE: int = celery_app.PATIENCE
app = celery_app.app
server = celery_app.server


class Worker:
    """A process. `queue` is whose tasks it takes, `sender` is the application that sends them."""

    def __init__(
        self, process: subprocess.Popen[bytes], sender: Any, name: str, queue: str, log: Path
    ) -> None:
        self.process = process
        self.sender = sender
        self.name = name
        self.queue = queue
        self.log = log

    def send(self, task: str, *args: Any, **options: Any) -> Any:
        return self.sender.send_task(task, args, queue=self.queue, **options)

    def told(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self, number: int) -> int:
        """Its exit code after the signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def ask(self, command: str, **arguments: Any) -> Any:
        """What it answers to a command of remote control, of which it may miss some first ones."""
        answers: list[Any] = []

        def has_answered() -> bool:
            answers.extend(
                self.sender.control.broadcast(
                    command, arguments, [self.name], reply=True, timeout=1, limit=1
                )
            )
            return bool(answers)

        self.wait_until(has_answered)
        return answers[0][self.name]

    def pool(self) -> Any:
        return self.ask("stats")["pool"]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """By asking again and again, while the process lives: it is about what a server or a log
        comes to hold, of which nobody tells."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.told()[-3000:]
            assert time.monotonic() < deadline, self.told()[-3000:]
            time.sleep(0.02)


@contextmanager
def worker(
    port: int,
    folder: Path,
    queue: str,
    *options: str,
    name: str = "",
    gossip: bool = False,
    sender: Any = app,
    **environment: str,
) -> Iterator[Worker]:
    """It takes tasks in the block, and is gone after it. With gossip, it has one connection to the
    broker more."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    name = f"{name or queue}@here"
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pycoro.celery", "-A", "clients.celery_app", "worker"),
                *("-Q", queue, "-n", name, "-l", "INFO"),
                *("--without-mingle", "--without-heartbeat", *options),
                *([] if gossip else ["--without-gossip"]),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, "PYCORO_REDIS": str(port), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    started = Worker(process, sender, name, queue, log)
    try:
        yield started
    finally:
        process.kill()
        process.wait()


def began(*names: str) -> None:
    """They begin, in this order, and nobody before them."""
    found = [server().blpop(["began"], PATIENCE) for _ in names]
    assert [item and item[1].decode() for item in found] == list(names)


def go(*names: str) -> None:
    for name in names:
        server().rpush(f"go-{name}", "go")


def left(name: str) -> str | None:
    found = server().blpop([f"left-{name}"], PATIENCE)
    return found and found[1].decode()


def kill_one_of(one: Worker, two: Worker) -> None:
    """One is started with PYCORO_STUCK, and has room for five. It is killed when it has as many
    that never end; the other does them, and all that is left."""
    numbers = set(range(60))

    def members(name: str) -> set[int]:
        return {int(number) for number in server().smembers(name)}

    def lost() -> set[int]:
        return members(f"begun-{one.name}") - members(f"noted-{one.name}")

    for number in numbers:
        one.send("note", number)
    one.wait_until(lambda: len(lost()) == 5)
    assert one.end(signal.SIGKILL) == -signal.SIGKILL
    assert len(lost()) == 5
    two.wait_until(lambda: lost() <= members(f"noted-{two.name}"))
    two.wait_until(lambda: members(f"noted-{one.name}") | members(f"noted-{two.name}") == numbers)

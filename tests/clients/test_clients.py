"""Client libraries, unchanged and patched, against real servers: see scenarios.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from clients.scenarios import COUNT, LONG, SECONDS, SOON

TESTS = Path(__file__).parent.parent
Client = tuple[str, int, Path]

# One after the other they would take 200 seconds, and all at once one or two on a quiet machine.
MUCH_LESS = COUNT * SECONDS / 10


def play(scenario: str, client: Client) -> dict[str, Any]:
    name, port, folder = client
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pycoro.monkey", "--module", "clients.scenarios"),
            *(scenario, name, str(port), str(folder)),
        ],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.stderr, done.returncode) == ("", 0), f"{done.stderr[-4000:]}\n{done.returncode}"
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_many_at_once_take_about_as_long_as_one(client: Client) -> None:
    told = play("at_once", client)
    assert told["answers"] == list(range(COUNT))
    assert SECONDS <= told["seconds"] < MUCH_LESS


def test_in_a_pool_of_threads(client: Client) -> None:
    told = play("threads", client)
    assert told["answers"] == list(range(COUNT))
    assert SECONDS <= told["seconds"] < MUCH_LESS


def test_a_refused_connection_is_the_library_s_own_error(client: Client) -> None:
    assert play("refused", client)["refused"].startswith("good: ")


def test_a_lost_connection_is_the_library_s_own_error(client: Client) -> None:
    told = play("lost", client)
    assert {how: text.partition(" ")[0] for how, text in told.items()} == {
        "ended": "good:",
        "reset": "good:",
    }, told


def test_a_connection_can_be_closed_after_its_task_was_broken_off(client: Client) -> None:
    assert LONG > 2 * SOON
    assert play("broken_off", client) == {
        "warm-up": ["4"],
        "killed": ["CoroutineExit", "4"],
        "timeout": ["Timeout", "4"],
        "descriptors": 0,
    }

"""The audit of monkey: what blocks the loop is told of with its place, and summed up. Whatever
blocks does so, in a real wait, until it has been told of."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from traceback import FrameSummary, StackSummary

import pytest
from helpers import output_of, run_python

import pycoro
from pycoro import events, monitor, monkey
from pycoro.events import EventLoopBlocked
from pycoro.monkey.blocked import Audit, describe

LIMIT = 30  # seconds


class Told:
    """What an audit writes, and the events behind that. `more`: a lock that no patch replaces,
    released with each event."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.events: list[EventLoopBlocked] = []
        self.more = threading.Lock()

    def __call__(self, text: str) -> None:
        self.texts.append(text)

    def hear(self, event: EventLoopBlocked) -> None:
        self.events.append(event)
        if self.more.locked():
            self.more.release()

    def wait_until_over(self) -> None:
        with pycoro.Timeout(LIMIT):
            while not self.events[-1].over:
                pycoro.sleep(0.001)


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    events.subscribers.append(told.hear)
    yield told
    events.subscribers.remove(told.hear)
    assert monitor._monitors == set()


def test_each_place_is_shown_once_and_summed_up(told: Told) -> None:
    """On a busy machine there may be more than is meant."""

    def first(count: int) -> None:
        while len(told.events) < count:
            told.more.acquire(True, LIMIT)

    def second(count: int) -> None:
        while len(told.events) < count:
            told.more.acquire(True, LIMIT)

    with monkey.audit(0.01, told) as audit:
        for blocker in (first, second, first):
            pycoro.spawn(blocker, len(told.events) + 1).join()
            told.wait_until_over()
    line = first.__code__.co_firstlineno + 2
    *shown, summary = told.texts
    shown = [text for text in shown if "first' has blocked its loop for" in text]
    assert len(shown) == 1
    assert f'File "{__file__}", line {line}, in first' in shown[0]
    assert "the loop was blocked for more than 0.01 s " in summary
    source = "told.more.acquire(True, LIMIT)"
    counts = {place.where: place.count for place in audit.places}
    assert counts[f"{__file__}:{line} in first: {source}"] == 2
    assert counts[f"{__file__}:{line + 4} in second: {source}"] == 1
    assert re.search(
        r"  2 times, \d+.\d{3} s in all, \d+.\d{3} s at the most: .* in first", summary
    )


def test_the_place_is_the_programs_own_and_what_it_calls() -> None:
    library = str(Path(os.__file__).parent)
    calls = [
        ("/home/me/main.py", 3, "main"),
        ("/home/me/work.py", 7, "work"),
        (f"{library}/site-packages/driver.py", 8, "ask"),
        (f"{library}/subprocess.py", 9, "run"),
        (f"{library}/selectors.py", 10, "select"),
    ]
    stack = StackSummary.from_list([FrameSummary(*call, line="") for call in calls])
    assert describe(stack) == (
        f"{library}/site-packages/driver.py:8 in ask, in a call that leads to "
        f"{library}/selectors.py:10 in select"
    )
    del stack[2:]
    assert describe(stack) == "/home/me/work.py:7 in work"
    assert describe(StackSummary()) == "a place unknown"


def test_what_goes_on_when_the_audit_stops_is_counted(told: Told) -> None:
    audit = Audit(0.01, told)

    def stops() -> None:
        while not told.events:
            told.more.acquire(True, LIMIT)
        audit.stop()
        audit.stop()

    pycoro.spawn(stops).join()
    assert [place.count for place in audit.places] == [1]
    assert "blocked for more than 0.01 s once, at 1 place:" in told.texts[1]
    assert len(told.texts) == 2


def test_nothing_found_is_said_too(told: Told) -> None:
    with monkey.audit(60, told):
        pycoro.sleep(0)
    assert told.texts == ["pycoro: audit: nothing has blocked the loop for more than 60 s"]
    for wrong in (-1, "1"):
        with pytest.raises((TypeError, ValueError)):
            monkey.audit(wrong)  # type: ignore[arg-type]


BLOCKER = """
import _thread, os, threading, time, pycoro
from pycoro import events, monkey
told = threading.Event() if {real} else None
gate = monkey.get_original("_thread", "allocate_lock")()
gate.acquire()
events.subscribers.append(lambda event: gate.locked() and gate.release())
def blocks():
    gate.acquire(True, 30)  # a real lock: the monitor's thread releases it
pycoro.joinall([pycoro.spawn(blocks), pycoro.spawn(time.sleep, 0.001)])
"""


@pytest.mark.parametrize("option", ["--audit", "--audit=20"])
def test_a_program_can_be_run_under_audit(option: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(BLOCKER.format(real=False))
    run = f"""
import runpy, sys
sys.argv = ["monkey", {option!r}, {str(program)!r}]
runpy.run_module("pycoro.monkey", run_name="__main__", alter_sys=True)
"""
    done = run_python(run)
    assert done.returncode == 0, done.stderr
    limit = "0.1" if option == "--audit" else "0.02"
    assert f"has blocked its loop for 0.{'1' if limit == '0.1' else ''}" in done.stderr
    assert f"the loop was blocked for more than {limit} s once, at 1 place:" in done.stderr
    assert f"{program}:9 in blocks: gate.acquire(True, 30)" in done.stderr


def test_patch_all_can_begin_an_audit_which_ends_with_the_patch() -> None:
    assert output_of("""
        import sys
        from pycoro import monitor, monkey
        sys.stderr = sys.stdout
        monkey.patch_all(audit=60)
        print(len(monitor._monitors))
        monkey.unpatch_all()
        print(len(monitor._monitors))
    """) == [
        "1",
        "pycoro: audit: nothing has blocked the loop for more than 60 s",
        "0",
    ]


def test_a_forked_child_does_not_sum_up_what_its_parent_did() -> None:
    done = run_python("""
        import os, sys
        from pycoro import monkey
        monkey.patch_all(audit=60)
        pid = os.fork()
        if not pid:
            sys.exit()
        os.waitpid(pid, 0)
    """)
    assert done.stderr.splitlines() == [
        "pycoro: audit: nothing has blocked the loop for more than 60 s"
    ]


@pytest.mark.parametrize("option", ["--audit=", "--audit=x", "--audit=-1", "--audit=inf"])
def test_an_audit_wants_a_time(option: str) -> None:
    done = run_python(f"""
        import runpy, sys
        sys.argv = ["monkey", {option!r}, "no_program"]
        runpy.run_module("pycoro.monkey", run_name="__main__", alter_sys=True)
    """)
    if option == "--audit=":  # as without
        assert "no_program" in done.stderr
    else:
        assert "--audit takes a number of milliseconds" in done.stderr
    assert done.returncode == (1 if option == "--audit=" else 2)

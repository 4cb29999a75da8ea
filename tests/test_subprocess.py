"""Cooperative child processes."""

from __future__ import annotations

import signal
import subprocess as stdlib
import sys
from pathlib import Path

import pytest
from peers import Api

from pycoro import joinall, os, sleep, spawn, subprocess

ECHO = "import sys; sys.stdout.write(sys.stdin.read().upper())"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_children_run_side_by_side(tmp_path: Path) -> None:
    """Each ends when all have begun."""
    code = f"""
import pathlib, sys, time
folder = pathlib.Path({str(tmp_path)!r})
(folder / sys.argv[1]).touch()
while len(list(folder.iterdir())) < 3:
    time.sleep(0.001)
print(sys.argv[1])
"""
    commands = [[*python(code), name] for name in "abc"]
    tasks = [spawn(subprocess.check_output, command, text=True) for command in commands]
    joinall(tasks, raise_error=True, timeout=30)
    assert [task.value for task in tasks] == ["a\n", "b\n", "c\n"]


def test_communicate_more_than_pipes_hold() -> None:
    with subprocess.Popen(
        python(ECHO), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        out, err = process.communicate("x" * 500_000)
    assert (len(out), out[:1], err, process.returncode) == (500_000, "X", None, 0)


def test_leaving_a_child_that_another_task_reads_from() -> None:
    with subprocess.Popen(python(ECHO), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        reading = spawn(process.stdout.read)
        sleep(0)
        process.kill()
    assert process.stdout.closed
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(OSError, match="closed"):
        reading.get()


def test_pipes_are_read_and_written_while_others_run() -> None:
    log: list[str] = []
    with subprocess.Popen(
        python("for line in open(0): print(line.upper(), end='', flush=True)"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for word in ("one\n", "two\n"):
            reading = spawn(process.stdout.readline)
            spawn(log.append, word)
            sleep(0)
            process.stdin.write(word)
            assert reading.get() == word.upper()
        process.stdin.close()
        assert process.wait() == 0
    assert log == ["one\n", "two\n"]


def test_a_time_limit_leaves_the_child_alone() -> None:
    # One that the end of its input, which communicate() makes, does not end.
    process = subprocess.Popen(python("import time; time.sleep(600)"), stdin=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.01)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.01)
    assert process.poll() is None
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    process.communicate()


def test_run_kills_the_child_whose_time_is_over() -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        subprocess.run(python("import time; time.sleep(60)"), timeout=0.3, capture_output=True)
    assert caught.value.timeout == 0.3
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_several_tasks_wait_for_one_child() -> None:
    process = subprocess.Popen(python("input()"), stdin=subprocess.PIPE)
    waiting = [spawn(process.wait) for _ in range(3)]
    sleep(0)
    process.terminate()
    assert [task.get() for task in waiting] == [-signal.SIGTERM] * 3
    process.communicate()


def test_waiting_without_a_descriptor_for_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "_pidfd_open", None)
    assert subprocess.call(python("raise SystemExit(4)")) == 4
    assert subprocess.run(python("raise SystemExit(5)"), timeout=30).returncode == 5


def test_failures_are_the_stdlibs() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        subprocess.check_call(python("raise SystemExit(9)"))
    assert caught.value.returncode == 9
    with pytest.raises(FileNotFoundError):
        subprocess.Popen(["/no/such/program"])
    assert subprocess.CalledProcessError is stdlib.CalledProcessError
    assert subprocess.getoutput("echo hello; false") == "hello"
    assert subprocess.getstatusoutput("exit 3") == (3, "")
    assert issubclass(subprocess.Popen, stdlib.Popen)


def test_children_in_a_row() -> None:
    """Each reads what the one before it writes, by a pipe that blocks as it expects."""
    first = subprocess.Popen(python(ECHO), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdin is not None and first.stdout is not None
    second = subprocess.Popen(python(ECHO), stdin=first.stdout, stdout=subprocess.PIPE)
    assert second.stdout is not None
    first.stdout.close()
    first.stdin.write(b"abc")
    first.stdin.close()
    assert second.stdout.read() == b"ABC"
    assert (first.wait(), second.wait()) == (0, 0)
    second.stdout.close()


def test_a_pipe_that_a_child_has_too_is_waited_for_all_the_same() -> None:
    log: list[str] = []
    first = subprocess.Popen(python(ECHO), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdin is not None and first.stdout is not None
    second = subprocess.Popen(python(""), stdin=first.stdout.fileno(), stdout=first.stdin)
    assert second.wait() == 0
    assert os.get_blocking(first.stdin.fileno()) and os.get_blocking(first.stdout.fileno())
    reading = spawn(first.stdout.read)
    spawn(log.append, "others run")
    sleep(0)
    sleep(0)
    assert (reading.ready(), log) == (False, ["others run"])
    writing = spawn(lambda: (first.stdin.write(b"a" * 200_000), first.stdin.close()))
    assert reading.get() == b"A" * 200_000
    writing.get()
    assert first.wait() == 0
    first.stdout.close()


def test_a_child_can_be_waited_for_like_a_task(api: Api) -> None:
    with api.subprocess.Popen(["/bin/sh", "-c", "exit 3"]) as child:
        assert api.wait([child], timeout=20) == [child]
        assert child.returncode == 3

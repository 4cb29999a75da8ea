"""signal_handler(), and what it leaves of the stdlib's signal handling."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import in_thread, output_of
from peers import Api

import pycoro
from pycoro import signal_handler, sleep
from pycoro.event import Event

USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """A test leaves no handler behind."""
    yield
    left = [number for number in (USR1, USR2) if signal.getsignal(number) != signal.SIG_DFL]
    for number in left:
        signal.signal(number, signal.SIG_DFL)
    assert left == []


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_it_is_called_in_a_task_of_its_own(api: Api) -> None:
    log: list[Any] = []

    def handle(*args: Any, **kwargs: Any) -> None:
        log.append((args, kwargs, api.getcurrent() is main))
        api.sleep(0.001)
        log.append("waited")
        done.set()

    main, done = api.getcurrent(), api.event.Event()
    handler = api.signal_handler(USR1, handle, 1, a=2)
    try:
        send(USR1)
        with api.Timeout(10):
            done.wait()
    finally:
        handler.cancel()
        if api.is_gevent:
            signal.signal(USR1, signal.SIG_DFL)
    assert log == [((1,), {"a": 2}, False), "waited"]


def test_several_for_one_signal() -> None:
    log: list[str] = []
    handlers = [signal_handler(USR1, log.append, name) for name in "abc"]
    send(USR1)
    assert log == []
    pycoro.wait(timeout=1)
    handlers[1].cancel()
    handlers[1].cancel()
    send(USR1)
    pycoro.wait(timeout=1)
    for handler in handlers:
        handler.cancel()
    assert log == ["a", "b", "c", "a", "c"]
    assert signal.getsignal(USR1) is signal.SIG_DFL
    assert repr(handlers[0]) == f"<signal_handler of {int(USR1)} cancelled>"


def test_one_that_is_cancelled_before_its_task_starts() -> None:
    log: list[str] = []
    handler = signal_handler(USR1, log.append, "called")
    send(USR1)
    handler.cancel()
    pycoro.wait(timeout=1)
    assert log == []


def test_an_error_is_reported_and_the_next_signal_handled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = signal_handler(USR1, lambda: 1 // 0)
    for _ in range(2):
        send(USR1)
        pycoro.wait(timeout=1)
    handler.cancel()
    assert capsys.readouterr().err.count("ZeroDivisionError") == 4  # name, and last line


def test_it_keeps_a_waiting_program_from_ending() -> None:
    # Without a handler of the signal this would be a LoopExit.
    assert output_of(
        """
        import os, signal, time
        import pycoro
        from pycoro.event import Event

        event = Event()
        handler = pycoro.signal_handler(signal.SIGUSR1, event.set)
        pid = os.fork()
        if not pid:
            time.sleep(0.05)
            os.kill(os.getppid(), signal.SIGUSR1)
            os._exit(0)
        print(event.wait())
        os.waitpid(pid, 0)
        handler.cancel()
        try:
            Event().wait()
        except pycoro.LoopExit:
            print("LoopExit")
        """,
        timeout=30,
    ) == ["True", "LoopExit"]


# ---- beside the stdlib's handlers ----


def test_handlers_of_other_signals_stay() -> None:
    log: list[Any] = []
    signal.signal(USR2, lambda number, frame: log.append(number))
    handler = signal_handler(USR1, log.append, "usr1")
    send(USR2)
    send(USR1)
    pycoro.wait(timeout=1)
    handler.cancel()
    send(USR2)
    signal.signal(USR2, signal.SIG_DFL)
    assert log == [USR2, "usr1", USR2]


def test_the_handler_that_was_there_is_put_back() -> None:
    def mine(number: int, frame: Any) -> None:
        log.append("mine")

    log: list[str] = []
    signal.signal(USR1, mine)
    one, other = signal_handler(USR1, int), signal_handler(USR1, int)
    assert signal.getsignal(USR1) is not mine
    one.cancel()
    assert signal.getsignal(USR1) is not mine
    other.cancel()
    assert signal.getsignal(USR1) is mine
    send(USR1)
    signal.signal(USR1, signal.SIG_DFL)
    assert log == ["mine"]


def test_a_handler_that_is_set_later_stays() -> None:
    def mine(number: int, frame: Any) -> None:
        pass

    handler = signal_handler(USR1, int)
    signal.signal(USR1, mine)
    handler.cancel()
    assert signal.getsignal(USR1) is mine
    signal.signal(USR1, signal.SIG_DFL)


def test_ctrl_c_handled_like_any_other() -> None:
    assert output_of(
        """
        import os, signal, pycoro
        handler = pycoro.signal_handler(signal.SIGINT, print, "handled")
        os.kill(os.getpid(), signal.SIGINT)
        pycoro.sleep(0.01)
        handler.cancel()
        try:
            pycoro.spawn(os.kill, os.getpid(), signal.SIGINT)
            pycoro.sleep(10)
        except KeyboardInterrupt:
            print("interrupted")
        """,
        timeout=30,
    ) == ["handled", "interrupted"]


def test_the_module_has_the_stdlib_s_names() -> None:
    assert pycoro.signal.signal is signal.signal
    assert pycoro.signal.getsignal is signal.getsignal
    assert pycoro.signal.SIGTERM is signal.SIGTERM
    with pytest.raises(AttributeError):
        pycoro.signal.none


# ---- bad use ----


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((USR1, 5), TypeError, "must be callable, not int"),
        ((5000, int), ValueError, "signal number out of range"),
        ((0, int), ValueError, "signal number out of range"),
        (("x", int), TypeError, "an integer"),
        ((signal.SIGKILL, int), OSError, "Invalid argument"),
    ],
)
def test_what_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        signal_handler(*arguments)


def test_only_in_the_main_thread() -> None:
    with pytest.raises(ValueError, match="in the main thread: call signal_handler"):
        in_thread(lambda: signal_handler(USR1, int))
    handler = signal_handler(USR1, int)
    with pytest.raises(ValueError, match="can only be cancelled in the main thread"):
        in_thread(handler.cancel)
    handler.cancel()


def test_across_runs_and_a_loop_that_is_destroyed() -> None:
    log: list[str] = []
    handler = signal_handler(USR1, log.append, "called")
    for _ in range(2):
        pycoro.run(lambda: (send(USR1), sleep(0.005)))
    pycoro.get_loop().destroy()
    send(USR1)
    pycoro.wait(timeout=1)
    handler.cancel()
    assert log == ["called"] * 3


def test_signals_that_come_in_numbers() -> None:
    count = 0

    def handle() -> None:
        nonlocal count
        count += 1
        if count == 50:
            done.set()

    done = Event()
    handler = signal_handler(USR1, handle)
    for _ in range(50):
        send(USR1)
    done.wait(10)
    handler.cancel()
    assert count == 50

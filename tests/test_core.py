"""get_hub().loop: libev's watchers, on gevent's loop and on ours."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import output_of
from peers import Api

import pycoro
from pycoro import InvalidThreadUseError, core, get_hub


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    with a, b:
        yield a, b


def test_a_timer_once_and_repeated(api: Api) -> None:
    loop, log = api.get_hub().loop, []
    done = api.event.Event()
    with loop.timer(0.001) as once, loop.timer(0, repeat=0.001) as often:
        once.start(log.append, "once")

        def tick(what: str) -> None:
            log.append(what)
            if log.count("often") == 3:
                often.stop()
                done.set()

        often.start(tick, "often")
        assert once.active
        assert often.active
        assert done.wait(5)
        while once.active:
            api.sleep(0.001)
        assert not often.active
        assert sorted(log) == ["often", "often", "often", "once"]
        once.again(log.append, "not called, for it is stopped")
        once.stop()
    assert not once.active


def test_io_is_called_as_long_as_it_is_ready(api: Api, pair: Any) -> None:
    loop, log = api.get_hub().loop, []
    done = api.event.Event()
    reader = loop.io(pair[0].fileno(), 1)
    other = loop.io(pair[0].fileno(), 1)

    def read(what: str) -> None:
        log.append((what, pair[0].recv(1)))
        if len(log) == 3:
            reader.stop()
            done.set()

    reader.start(read, "reads")
    pair[1].sendall(b"abcd")
    assert done.wait(5)
    assert log == [("reads", b"a"), ("reads", b"b"), ("reads", b"c")]
    api.sleep(0)
    other.start(lambda: (log.append(pair[0].recv(1)), other.stop(), done.set()))
    done.clear()
    assert done.wait(5)
    assert log[-1] == b"d"
    reader.close()
    other.close()


def test_io_tells_what_it_is_ready_for(api: Api, pair: Any) -> None:
    done = api.event.AsyncResult()
    with api.get_hub().loop.io(pair[0].fileno(), 2) as writer:
        writer.start(done.set, pass_events=True)
        assert done.get(timeout=5) == 2


def test_two_watchers_of_a_descriptor(api: Api, pair: Any) -> None:
    loop, told = api.get_hub().loop, set()
    done = api.event.Event()
    watchers = {name: loop.io(pair[0].fileno(), 1) for name in ("one", "another")}

    def tell(name: str) -> None:
        told.add(name)
        watchers[name].stop()
        if len(told) == 2:
            done.set()

    for name, watcher in watchers.items():
        watcher.start(tell, name)
    pair[1].sendall(b"x")
    assert done.wait(5)
    for watcher in watchers.values():
        watcher.close()


def test_the_hub_waits_for_a_watcher(api: Api, pair: Any) -> None:
    hub = api.get_hub()
    pair[1].sendall(b"x")
    with hub.loop.io(pair[0].fileno(), 1) as reader:
        hub.wait(reader)
        assert not reader.active
    with hub.loop.timer(0.001) as timer:
        hub.wait(timer)
    with hub.loop.timer(60) as timer, api.Timeout(0.001, False):
        hub.wait(timer)
    assert not timer.active


@pytest.mark.parametrize("kind", ["timer", "async_"])
def test_whether_it_counts_can_be_changed_while_it_is_active(api: Api, kind: str) -> None:
    loop = api.get_hub().loop
    with loop.timer(60) if kind == "timer" else loop.async_() as watcher:
        watcher.start(print)
        assert watcher.ref
        watcher.ref = False
        assert api.wait(timeout=10)  # at once: there is nothing that counts
        watcher.ref = True
        assert (watcher.ref, watcher.active) == (True, True)
        assert not api.wait(timeout=0.01)


def test_a_wait_for_a_watcher_can_be_cancelled(api: Api) -> None:
    hub = api.get_hub()
    timer = hub.loop.timer(60)
    task = api.spawn(hub.wait, timer)
    api.sleep(0)
    hub.cancel_wait(timer, OSError("cancelled"), True)
    with pytest.raises(OSError, match="cancelled"):
        task.get()


def test_send_from_another_thread(api: Api) -> None:
    hub = api.get_hub()
    with hub.loop.async_() as watcher:
        thread = threading.Thread(target=watcher.send)
        done = api.event.Event()
        watcher.start(done.set)
        thread.start()
        done.wait()  # without an end: the loop knows that it may be called
        thread.join()


def test_a_signal(api: Api) -> None:
    done = api.event.Event()
    with api.get_hub().loop.signal(signal.SIGUSR2) as watcher:
        watcher.start(done.set)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert done.wait(5)


def test_a_child() -> None:
    """Ours alone: gevent's needs a handler of SIGCHLD of its own."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})
    done = pycoro.event.Event()
    with get_hub().loop.child(pid) as watcher:
        watcher.start(done.set)
        assert done.wait(10)
        assert (watcher.rpid, os.waitstatus_to_exitcode(watcher.rstatus)) == (pid, 3)


def test_stop_in_a_childs_callback_does_not_end_the_callback() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    done = pycoro.event.Event()
    with get_hub().loop.child(pid) as watcher:

        def reaped() -> None:
            watcher.stop()
            pycoro.sleep(0)
            done.set()

        watcher.start(reaped)
        assert done.wait(timeout=5)


def test_a_send_that_arrives_before_it_has_returned_is_not_the_last() -> None:
    """The loop may have had its turn while another thread is still in send()."""
    hub = get_hub()
    log: list[str] = []
    with hub.loop.async_() as watcher:
        watcher.start(log.append, "sent")
        watcher.hub = SimpleNamespace(post_threadsafe=lambda arrive: arrive() or arrive)  # type: ignore[assignment]
        watcher.send()
        watcher.send()
        watcher.hub = hub
    assert log == ["sent", "sent"]


def test_a_fork_is_told_of_in_the_child() -> None:
    code = """
        import os, pycoro
        loop = pycoro.get_hub().loop
        forked = loop.fork()
        forked.start(print, "child")
        reader = loop.io(0, 1)
        sender = loop.async_()
        sender.start(print)
        pid = os.fork()
        pycoro.sleep(0)
        sender.stop()
        pycoro.get_hub().join()
        if pid:
            os.waitpid(pid, 0)
            print("parent")
        """
    assert output_of(code) == ["child", "parent"]


def test_callbacks_that_are_stopped(api: Api) -> None:
    loop, log = api.get_hub().loop, []
    called = loop.run_callback(log.append, "called")
    stopped = loop.run_callback(log.append, "stopped")
    loop.run_callback_threadsafe(log.append, "thread-safe")
    stopped.stop()
    assert (bool(called.pending), bool(stopped.pending)) == (True, False)
    assert (bool(called), bool(stopped)) == (True, False)
    api.settle()
    assert log == ["called", "thread-safe"]
    assert not called.pending
    assert not called


def test_what_watchers_refuse(clean_loop: None) -> None:
    loop = get_hub().loop
    with pytest.raises(TypeError):
        loop.run_callback("nonsense")
    with pytest.raises(ValueError, match="events must be"):
        loop.io(0, 8)
    with pytest.raises(ValueError, match="repeat"):
        loop.timer(0, -1)
    timer = loop.timer(0)
    with pytest.raises(TypeError, match="callable"):
        timer.start("nonsense")
    with pytest.raises(OSError, match="descriptor"):
        loop.io(999_999, 1).start(print)
    assert loop.watched == {}
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            timer.start(print)
        except InvalidThreadUseError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_an_error_of_one_callback_is_reported_and_no_more(
    clean_loop: None, pair: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    loop, log = get_hub().loop, []
    done = pycoro.event.Event()
    bad, good = loop.io(pair[0].fileno(), 1), loop.io(pair[0].fileno(), 1)

    def fail() -> None:
        bad.stop()
        raise ValueError("of a callback")

    bad.start(fail)
    good.start(lambda: (log.append("good"), good.stop(), done.set()))
    pair[1].sendall(b"x")
    assert done.wait(5)
    assert log == ["good"]
    assert "ValueError: of a callback" in capsys.readouterr().err


def test_the_rest_of_the_hub(api: Api) -> None:
    hub = api.get_hub()
    assert hub.main_hub is True
    assert hub.thread_ident == threading.get_ident()
    assert hub.resolver.getaddrinfo("127.0.0.1", 80)[0][4] == ("127.0.0.1", 80)
    assert hub.resolver.gethostbyname("127.0.0.1") == "127.0.0.1"
    assert hub.threadpool.apply(int, ("7",)) == 7
    hub.threadpool.kill()
    assert hub.loop.default
    assert hub.loop.now() > 0
    assert core.loop is type(get_hub().loop)

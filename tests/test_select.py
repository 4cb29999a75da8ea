"""Cooperative select() and poll()."""

from __future__ import annotations

import os
import select as stdlib
from collections.abc import Iterator

import pytest

from pycoro import get_loop, select, sleep, socket, spawn


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_select_waits_while_others_run(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    waiting = spawn(select.select, [one, other], [], [])
    sleep(0.001)
    assert not waiting.ready()
    other.send(b"x")
    assert waiting.get() == ([one], [], [])
    assert select.select([one], [], [], 0) == ([one], [], [])
    one.recv(1)
    assert select.select([one], [], [], 0) == ([], [], [])
    assert select.select([one], [], [], 0.001) == ([], [], [])
    assert select.select([], [other.fileno()], []) == ([], [other.fileno()], [])


def test_select_of_many_wakes_for_any_and_leaves_nothing_behind() -> None:
    pairs = [socket.socketpair() for _ in range(20)]
    ends = [one for one, _ in pairs]
    for number in (7, 3, 19):
        waiting = spawn(select.select, ends, [], ends, 10)
        sleep(0)
        sleep(0)
        pairs[number][1].send(b"x")
        assert waiting.get() == ([ends[number]], [], [])
        ends[number].recv(1)
    waiting.kill()
    assert all(one._watch is None or not one._watch.wanted for one in ends)
    for pair in pairs:
        for end in pair:
            end.close()


def test_select_sees_the_end_and_bad_descriptors(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    other.close()
    assert select.select([one], [], [], 5) == ([one], [], [])
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    with pytest.raises(OSError, match="Bad file descriptor"):
        select.select([reader], [], [], 5)
    with pytest.raises(ValueError, match="negative"):
        select.select([-1], [], [], 5)
    with pytest.raises(TypeError, match="fileno"):
        select.select([object()], [], [], 5)
    with pytest.raises(ValueError, match="non-negative"):
        select.select([], [], [], -1)
    with pytest.raises(TypeError, match="float or None"):
        select.select([], [], [], "soon")  # type: ignore[arg-type]


def test_select_of_nothing_sleeps() -> None:
    log: list[str] = []
    spawn(log.append, "others run")
    assert select.select([], [], [], 0.001) == ([], [], [])
    assert log == ["others run"]


def test_poll(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    poller = select.poll()
    poller.register(one, select.POLLIN)
    assert poller.poll(1) == []
    waiting = spawn(poller.poll)
    sleep(0.001)
    other.send(b"x")
    assert waiting.get() == [(one.fileno(), select.POLLIN)]
    poller.modify(one, select.POLLOUT)
    assert poller.poll() == [(one.fileno(), select.POLLOUT)]
    poller.unregister(one)
    assert poller.poll(0) == []
    with pytest.raises(KeyError):
        poller.unregister(one)
    with pytest.raises(FileNotFoundError):
        poller.modify(one, select.POLLIN)


def test_a_poll_that_is_asked_in_a_circle_lets_others_run(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, _ = pair
    poller = select.poll()
    poller.register(one, select.POLLIN)
    done: list[int] = []
    spawn(done.append, 1)
    while not done:
        poller.poll(0)
    assert done == [1]


def test_a_second_poll_meanwhile_and_too_long_a_one_are_refused(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    poller = select.poll()
    poller.register(pair[0], select.POLLIN)
    waiting = spawn(poller.poll)
    sleep(0)
    with pytest.raises(RuntimeError, match="concurrent"):
        poller.poll()
    pair[1].send(b"x")
    assert waiting.get() == [(pair[0].fileno(), select.POLLIN)]
    for far in (2**31, 2**64):
        with pytest.raises(OverflowError):
            poller.poll(far)


def test_names_of_the_module() -> None:
    assert select.POLLIN == stdlib.POLLIN
    assert select.error is OSError
    with pytest.raises(AttributeError, match="would block all tasks"):
        select.kqueue


@pytest.mark.skipif(not hasattr(stdlib, "epoll"), reason="this system has no epoll")
def test_an_epoll_object_waits_while_others_run(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    with select.epoll() as poller:
        poller.register(one, stdlib.EPOLLIN)
        assert poller.poll(0) == poller.poll(0.001) == []
        for _ in range(2):
            waiting = spawn(poller.poll)
            sleep(0)
            other.send(b"x")
            assert waiting.get() == [(one.fileno(), stdlib.EPOLLIN)]
            assert poller.poll(0) == waiting.get()  # level-triggered
            one.recv(1)
        poller.modify(one, stdlib.EPOLLOUT)
        assert poller.poll(maxevents=1) == [(one.fileno(), stdlib.EPOLLOUT)]
        twin = select.epoll.fromfd(poller.fileno())
        poller.unregister(one)
        assert (twin.fileno(), twin.poll(0)) == (poller.fileno(), [])
        with pytest.raises(FileNotFoundError):
            poller.unregister(one)
    assert poller.closed
    with pytest.raises(ValueError, match="closed epoll"):
        poller.poll(0)


def test_a_timeout_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        select.select([], [], [], float("nan"))
    with pytest.raises(ValueError, match="not NaN"):
        select.poll().poll(float("nan"))
    with pytest.raises(TypeError, match="float or None"):
        select.select([], [], [], "1")  # type: ignore[arg-type]


def test_close_wakes_who_waits_in_select() -> None:
    one, other = socket.socketpair()  # nobody has waited on it before
    waiting = spawn(select.select, [one], [], [])
    sleep(0)
    one.close()
    with pytest.raises(OSError, match="another task closed the socket"):
        waiting.get()
    other.close()


def test_a_callback_may_ask_without_waiting(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    found: list[object] = []
    get_loop().call_soon(lambda: found.append(select.select([one], [other], [], 0)))
    sleep(0)
    assert found == [([], [other], [])]

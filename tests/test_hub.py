"""Waiter, and gevent's module names for what is elsewhere here."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from helpers import in_thread
from peers import Api

import pycoro
from pycoro import exceptions, hub
from pycoro.hub import Waiter


def fails(error: BaseException) -> None:
    raise error


def call_soon(api: Api, function: Any, *args: Any) -> None:
    """In the loop: gevent's Waiter stands its switch() nowhere else."""
    (api.get_hub().loop.run_callback if api.is_gevent else api.get_hub().call_soon)(function, *args)


def test_what_comes_before_is_kept(api: Api) -> None:
    waiter = api.hub.Waiter()
    assert (waiter.ready(), waiter.successful(), waiter.value) == (False, False, None)
    waiter.switch("value")
    assert (waiter.ready(), waiter.successful(), waiter.value) == (True, True, "value")
    assert (waiter.get(), waiter.get()) == ("value", "value")
    waiter.throw(KeyError("error"))
    assert (waiter.ready(), waiter.successful()) == (True, False)
    for _ in range(2):
        with pytest.raises(KeyError, match="error"):
            waiter.get()
    waiter.clear()
    assert not waiter.ready()


def test_what_comes_later_is_for_who_waits(api: Api) -> None:
    log: list[Any] = []
    waiter = api.hub.Waiter()

    def work() -> None:
        log.append(waiter.get())
        try:
            waiter.get()
        except KeyError as error:
            log.append(str(error))
        log.append(waiter.get())

    task = api.spawn(work)
    for call in ((waiter.switch, 1), (waiter.throw, KeyError, "x"), (waiter.switch_args, 2, 3)):
        api.settle()
        call_soon(api, *call)
    task.join()
    assert log == [1, "'x'", (2, 3)]
    assert not waiter.ready()


def test_it_can_be_a_link(api: Api) -> None:
    waiter = api.hub.Waiter()
    api.spawn(lambda: "value").rawlink(waiter)
    assert waiter.get() == "value"


def test_two_cannot_wait_at_once(api: Api) -> None:
    waiter = api.hub.Waiter()
    task = api.spawn(waiter.get)
    api.settle()
    with pytest.raises(api.ConcurrentObjectUseError):
        waiter.get()
    call_soon(api, waiter.switch, "for the first")
    assert task.get() == "for the first"


def test_a_killed_wait_leaves_it_free(api: Api) -> None:
    waiter = api.hub.Waiter()
    task = api.spawn(waiter.get)
    api.settle()
    task.kill()
    waiter.switch("kept")
    assert waiter.get() == "kept"


def test_an_error_in_the_wait_comes_with_a_timeout_too(api: Api) -> None:
    waiter = api.hub.Waiter()
    with api.Timeout(0.001, False):
        waiter.get()
    waiter.switch(1)
    assert waiter.get() == 1


def test_another_thread_is_refused() -> None:
    waiter = Waiter()
    for use in (waiter.get, lambda: waiter.switch(1), lambda: waiter.throw(KeyError)):
        with pytest.raises(pycoro.InvalidThreadUseError, match="belongs to another thread's loop"):
            in_thread(use)
    with pytest.raises(TypeError, match="exceptions must be"):
        waiter.throw(5)
    assert not waiter.ready()


def test_names_of_gevent_s_modules(api: Api) -> None:
    wanted = {"hub": hub.__all__, "exceptions": exceptions.__all__}
    for module, names in wanted.items():
        theirs = vars(getattr(api, module))
        assert [name for name in names if name not in theirs] in ([], ["Timeout"])
    assert hub.Hub is pycoro.Hub
    assert issubclass(exceptions.BlockingSwitchOutError, AssertionError)


def test_the_loop_of_a_thread_that_has_ended_can_be_destroyed_by_another(api: Api) -> None:
    hubs = []

    def run() -> None:
        api.sleep(0)
        hubs.append(api.get_hub())
        hubs[0].join()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    hubs[0].destroy(destroy_loop=True)

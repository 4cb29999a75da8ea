"""ThreadPoolExecutor: what concurrent.futures promises, and that a task that waits lets others run.

Calls that a test holds back wait for a lock of the interpreter's own, which no loop knows of.
"""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import gc
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures.thread import BrokenThreadPool
from typing import Any

import pytest
from helpers import in_thread, output_of

import pycoro
from pycoro import get_loop, sleep, spawn
from pycoro.threadpool import Future, ThreadPoolExecutor


@pytest.fixture(autouse=True)
def threads(clean_loop: None) -> Iterator[None]:
    """The test leaves no thread behind."""
    before = _thread._count()
    yield
    gc.collect()
    while _thread._count() > before:  # a dropped executor's are on their way out
        time.sleep(0.001)
    assert _thread._count() == before


def fail() -> None:
    raise LookupError("in there")


def test_calls_and_their_futures() -> None:
    with ThreadPoolExecutor(2) as executor:
        future = executor.submit(divmod, 7, b) if (b := 2) else None
        assert isinstance(future, Future)
        assert isinstance(future, futures.Future)
        assert (future.result(), future.exception(), future.done()) == ((3, 1), None, True)
        assert executor.submit(dict, fn=1, self=2).result() == {"fn": 1, "self": 2}
        failed = executor.submit(fail)
        with pytest.raises(LookupError, match="in there") as caught:
            failed.result()
        assert caught.traceback[-1].name == "fail"
        assert isinstance(failed.exception(), LookupError)
        assert list(executor.map(pow, [2, 3], [5, 2])) == [32, 9]
    assert isinstance(executor, futures.ThreadPoolExecutor)


def test_other_tasks_run_while_one_waits_for_a_result() -> None:
    gate = threading.Event()
    log: list[Any] = []
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(gate.wait, 60)
        task = spawn(lambda: log.append(future.result()))
        other = spawn(lambda: log.append(future.exception()))
        for number in range(3):
            sleep(0)
            log.append(number)
        gate.set()
        pycoro.joinall([task, other])
    assert log == [0, 1, 2, True, None]


def test_time_limits_and_kills_of_those_who_wait() -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(gate.wait, 60)
        sleep(0)  # there is a loop now
        for method in (future.result, future.exception):
            with pytest.raises(TimeoutError):
                method(timeout=0.001)
            with pytest.raises(TimeoutError):
                method(timeout=0)
            assert in_thread(lambda method=method: raised(method, 0.001)) is TimeoutError
        killed = spawn(future.result)
        sleep(0)
        killed.kill()
        gate.set()
        assert future.result(timeout=60) is True
    assert get_loop().foreign == 0


def raised(function: Any, *arguments: Any) -> Any:
    try:
        function(*arguments)
    except BaseException as error:
        return type(error)
    return None


def test_wait_and_as_completed_in_a_plain_thread() -> None:
    gates = [threading.Event() for _ in range(3)]
    with ThreadPoolExecutor(3) as executor:
        all_futures = [executor.submit(gate.wait, 60) for gate in gates]

        def thread() -> list[int]:
            order = []
            gates[1].set()
            for future in futures.as_completed(all_futures, timeout=60):
                order.append(all_futures.index(future))  # type: ignore[arg-type]
                if len(order) < 3:
                    gates[2 if len(order) == 1 else 0].set()
            done = futures.wait(all_futures, return_when=futures.ALL_COMPLETED)
            assert (len(done.done), len(done.not_done)) == (3, 0)
            return order

        assert in_thread(thread) == [1, 2, 0]


def test_wait_for_the_first_error_in_a_plain_thread() -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        late, early = executor.submit(gate.wait, 60), executor.submit(fail)
        done = in_thread(
            lambda: futures.wait([late, early], return_when=futures.FIRST_EXCEPTION, timeout=60)
        )
        gate.set()
    assert (done.done, done.not_done) == ({early}, {late})


def test_pycoros_own_waiting_takes_futures() -> None:
    with ThreadPoolExecutor(2) as executor:
        gate = threading.Event()
        first, second = executor.submit(abs, -1), executor.submit(gate.wait, 60)
        assert pycoro.wait([first, second], count=1) == [first]
        spawn(gate.set)
        assert list(pycoro.iwait([first, second])) == [first, second]
        called: list[Any] = []
        second.rawlink(called.append)
        second.rawlink(called.clear)
        second.unlink(called.clear)
        sleep(0)
        assert called == [second]


def test_callbacks_are_called_in_the_worker() -> None:
    with ThreadPoolExecutor(1) as executor:
        where: list[int] = []
        gate = threading.Event()
        future = executor.submit(lambda: gate.wait(60) and _thread.get_ident())
        future.add_done_callback(lambda done: where.append(_thread.get_ident()))
        gate.set()
        worker = future.result()
    assert where == [worker]
    future.add_done_callback(lambda done: where.append(done.result()))
    assert where == [worker, worker]


def test_cancelling() -> None:
    gate = threading.Event()
    log: list[str] = []
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(gate.wait, 60)
        waiting = executor.submit(log.append, "never")
        while not running.running():
            sleep(0)
        waiter = spawn(raised, waiting.result)
        sleep(0)
        assert (running.cancel(), waiting.cancel(), waiting.cancel()) == (False, True, True)
        assert waiter.get() is futures.CancelledError
        assert in_thread(lambda: raised(waiting.result)) is futures.CancelledError
        gate.set()
        assert executor.submit(abs, -1).result() == 1
        assert futures.wait([waiting], timeout=60).done == {waiting}
    assert log == []


def test_after_shutdown() -> None:
    executor = ThreadPoolExecutor(2)
    gate = threading.Event()
    results = [executor.submit(gate.wait, 60) for _ in range(4)]
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)
    gate.set()
    executor.shutdown()
    assert all(future.done() and future.result() for future in results)
    executor.shutdown()
    assert ThreadPoolExecutor.kill is ThreadPoolExecutor.shutdown


def test_shutdown_that_cancels() -> None:
    executor = ThreadPoolExecutor(1)
    gate = threading.Event()
    running, *waiting = [executor.submit(gate.wait, 60) for _ in range(4)]
    waiting[0].cancel()
    while not running.running():
        sleep(0)
    executor.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in waiting] == [True] * 3
    assert len(futures.wait(waiting, timeout=60).done) == 3
    gate.set()
    executor.shutdown()
    assert running.result() is True


def test_shutdown_lets_other_tasks_run() -> None:
    executor = ThreadPoolExecutor(1)
    gate = threading.Event()
    executor.submit(gate.wait, 60)
    spawn(gate.set)
    executor.shutdown()


def test_shutdown_by_one_of_its_calls() -> None:
    executor = ThreadPoolExecutor(1)
    with pytest.raises(RuntimeError, match="cannot wait for its own end"):
        executor.submit(executor.shutdown).result()
    executor.shutdown()
    other = ThreadPoolExecutor(1)
    assert other.submit(other.shutdown, False).result() is None
    other.shutdown()


def test_initializer_and_names() -> None:
    local = threading.local()

    def begin(value: str) -> None:
        local.value = value

    def call() -> tuple[str, str]:
        return local.value, threading.current_thread().name

    with ThreadPoolExecutor(1, "worker", begin, ("begun",)) as executor:
        assert executor.submit(call).result() == ("begun", "worker_0")
    with pytest.raises(TypeError, match="initializer must be"):
        ThreadPoolExecutor(1, initializer="no function")  # type: ignore[arg-type]
    for size in (0, -1):
        with pytest.raises(ValueError, match="max_workers"):
            ThreadPoolExecutor(size)
    assert ThreadPoolExecutor()._max_workers > 0


def test_an_initializer_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    def begin() -> None:
        gate.wait(60)
        fail()

    executor = ThreadPoolExecutor(2, initializer=begin)
    results = [executor.submit(abs, -1) for _ in range(5)]
    gate.set()
    for future in results:
        with pytest.raises(BrokenThreadPool):
            future.result()
    with pytest.raises(BrokenThreadPool):
        executor.submit(abs, 1)
    executor.shutdown()
    assert "Exception in initializer" in caplog.text


def test_contextvars_are_copied() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    with ThreadPoolExecutor(1) as executor:
        variable.set("mine")
        assert executor.submit(variable.get).result() == "mine"
        executor.submit(variable.set, "other").result()
        assert (executor.submit(variable.get).result(), variable.get()) == ("mine", "mine")


def test_an_executor_that_is_dropped_finishes_its_work() -> None:
    executor = ThreadPoolExecutor(1)
    done: list[int] = []
    gate = threading.Event()
    executor.submit(gate.wait, 60)
    results = [executor.submit(done.append, number) for number in range(3)]
    del executor
    gate.set()
    for future in results:
        future.result()
    assert done == [0, 1, 2]


def test_an_error_leaves_nothing_behind() -> None:
    class Thing:
        alive = 0

        def __init__(self) -> None:
            Thing.alive += 1

        def __del__(self) -> None:
            Thing.alive -= 1

        def fail(self) -> None:
            raise LookupError(self)

    with ThreadPoolExecutor(1) as executor:
        gc.collect()
        gc.disable()
        try:
            try:
                executor.submit(Thing().fail).result()
            except LookupError:
                pass
            executor.submit(abs, 1).result()  # the worker has forgotten the one before
            assert Thing.alive == 0
        finally:
            gc.enable()


def test_asyncio_uses_it() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(executor)
        return await asyncio.gather(
            *(loop.run_in_executor(None, abs, -number) for number in range(5)),
            asyncio.to_thread(abs, -5),
        )

    executor = ThreadPoolExecutor(2)
    assert in_thread(lambda: asyncio.run(main())) == list(range(6))


def test_many_threads_submit_and_wait() -> None:
    with ThreadPoolExecutor(3) as executor:
        results: list[Any] = [None] * 6

        def run(number: int) -> None:
            def call(value: int) -> int:
                return executor.submit(abs, -value).result(timeout=60) + number

            if number % 2:  # with a loop
                tasks = [spawn(call, value) for value in range(20)]
                results[number] = [task.get() for task in tasks]
            else:
                results[number] = [call(value) for value in range(20)]

        threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert results == [[value + number for value in range(20)] for number in range(6)]


def test_exit_does_not_wait_for_its_calls() -> None:
    assert output_of(
        """
        import threading, time
        from pycoro.threadpool import ThreadPoolExecutor

        executor = ThreadPoolExecutor(2)
        print(executor.submit(abs, -1).result())
        for _ in range(5):
            executor.submit(threading.Event().wait)
        """,
        timeout=30,
    ) == ["1"]


def test_after_a_fork() -> None:
    assert output_of(
        """
        import os, threading
        from pycoro.threadpool import ThreadPoolExecutor

        executor = ThreadPoolExecutor(2)
        gate = threading.Event()
        futures = [executor.submit(gate.wait, 60) for _ in range(4)]
        child = os.fork()
        if not child:
            print(list(executor.map(abs, [-1, -2])), flush=True)
            executor.shutdown()
            os._exit(0)
        os.waitpid(child, 0)
        gate.set()
        print([future.result() for future in futures])
        """,
        "-Wignore",  # of forking with threads
    ) == ["[1, 2]", "[True, True, True, True]"]


def test_a_time_that_is_over_before_is_no_error_but_a_timeout() -> None:
    """map() asks for each result with what is left of its time, which may be less than nothing."""
    get_loop()
    event = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        results = executor.map(lambda _: event.wait(), [1], timeout=-1)
        with pytest.raises(TimeoutError):
            next(results)
        event.set()

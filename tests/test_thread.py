"""Threads that are tasks: _thread and threading, patched; each in an interpreter of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import output_of, run_python

from pycoro.monkey import patching

PATCH = "from pycoro import monkey; monkey.patch_all()\n"


def patched(code: str, **options: str) -> list[str]:
    return output_of(PATCH + "import threading, time, pycoro\n" + code, **options)


def test_threads_take_turns_where_they_wait() -> None:
    assert patched("""
log = []
def run(number):
    time.sleep(0.1 * number)
    log.append((number, threading.current_thread().name))
threads = [threading.Thread(target=run, args=(n,), name=f"t{n}") for n in (3, 1, 2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(log, [thread.is_alive() for thread in threads], threading.active_count())
""") == ["[(1, 't1'), (2, 't2'), (3, 't3')] [False, False, False] 1"]


def test_locks_conditions_events_and_queues_of_the_stdlib_cooperate() -> None:
    assert patched("""
import queue
asked, answers = queue.Queue(2), queue.SimpleQueue()
begun, over, lock = threading.Event(), threading.Condition(), threading.Lock()
counts = []
def work():
    begun.wait()
    while (item := asked.get()) is not None:
        with lock:
            time.sleep(0)
            answers.put(item * 2)
    with over:
        counts.append(1)
        over.notify_all()
workers = [threading.Thread(target=work) for _ in range(3)]
for worker in workers: worker.start()
begun.set()
for n in range(20): asked.put(n)
for _ in workers: asked.put(None)
with over:
    print(over.wait_for(lambda: len(counts) == 3, timeout=20))
print(sorted(answers.get() for _ in range(20)) == [2 * n for n in range(20)])
print(lock.acquire(timeout=0.01), lock.acquire(timeout=0.001), lock.acquire(False))
""") == ["True", "True", "True False False"]


def test_locals_numbers_and_timers_are_each_threads_own() -> None:
    assert patched("""
import _thread
mine = threading.local()
mine.value = "main"
seen = []
def run(value):
    seen.append(hasattr(mine, "value"))
    mine.value = value
    time.sleep(0)
    seen.append(mine.value)
    seen.append(threading.get_ident() == threading.current_thread().ident)
    seen.append(threading.get_ident() != threading.main_thread().ident)
for value in "ab":
    thread = threading.Thread(target=run, args=(value,))
    thread.start()
    thread.join()
timer = threading.Timer(0.01, seen.append, ("timer",))
timer.start()
timer.join()
print(mine.value, threading.get_ident() == threading.main_thread().ident, seen)
""") == [
        "main True [False, 'a', True, True, False, 'b', True, True, 'timer']",
    ]


def test_the_program_waits_for_threads_that_are_no_daemons() -> None:
    assert patched("""
def late(text):
    try:
        time.sleep(0.02)
        print(text, flush=True)
    finally:
        print("left", text, flush=True)
threading.Thread(target=late, args=("worker",)).start()
threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()
print("main ends", flush=True)
""") == ["main ends", "worker", "left worker"]


def test_trying_a_lock_lets_nobody_run_at_the_loops_end_and_within_a_wait() -> None:
    assert patched("""
from pycoro.event import Event
lock = threading.Lock()
lock.acquire()
class Trying(Event):
    __slots__ = ()
    def ready(self):  # asked by who stands in the queue; so a finalizer may come in between
        print(lock.acquire(False))
        return super().ready()
event = Trying()
def wait():
    try: event.wait()
    finally: print(lock.acquire(False))
waiting = pycoro.spawn(wait)
pycoro.sleep(0)
print(event.linkcount())
waiting.kill()
print(event.linkcount())
waiting = pycoro.spawn(wait)
pycoro.sleep(0)
pycoro.get_hub().destroy()
""") == ["False", "1", "False", "0", "False", "False"]


def test_several_may_join_one_thread_and_the_main_thread_too() -> None:
    assert patched("""
worker = threading.Thread(target=time.sleep, args=(0.01,))
def join(thread):
    thread.join()
    print(thread.name, thread.is_alive(), flush=True)
worker.start()
for thread in [worker, worker, worker, threading.main_thread(), threading.main_thread()]:
    threading.Thread(target=join, args=(thread,)).start()
worker.join()
print("main ends", threading.main_thread().is_alive(), flush=True)
""") == [
        *["Thread-1 (sleep) False"] * 3,
        "main ends True",
        *["MainThread False"] * 2,
    ]


def test_a_join_that_is_broken_off_ends_no_thread() -> None:
    assert patched("""
import pycoro
go_on = threading.Event()
worker = threading.Thread(target=go_on.wait)
worker.start()
with pycoro.Timeout(0.01, False):
    worker.join()
print(worker.is_alive())
worker.join(0.01)
print(worker.is_alive())
go_on.set()
worker.join()
print(worker.is_alive())
""") == ["True", "True", "False"]


def test_tasks_that_are_no_threads_have_a_dummy_that_goes_with_them() -> None:
    assert patched("""
def run():
    return type(threading.current_thread()).__name__, threading.active_count()
print(pycoro.spawn(run).get())
pycoro.sleep(0)
print(threading.active_count())
pycoro.Coroutine(run).switch()
pycoro.spawn_raw(run)
pycoro.sleep(0)
print(threading.active_count())
""") == ["('_DummyThread', 2)", "1", "1"]


def test_who_tries_a_lock_again_and_again_lets_the_others_run() -> None:
    assert patched("""
def spin(what, attempt, release):
    log = []
    def run():
        while not attempt():
            log.append("not yet")
        log.append("now")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0)
    release()
    thread.join()
    print(what, log[0], log[-1])
for lock in (threading.Lock(), threading.RLock()):
    lock.acquire()
    spin(type(lock).__name__, lambda: lock.acquire(blocking=False), lock.release)
event = threading.Event()
spin("Event", lambda: event.wait(0), event.set)
""") == ["LockType not yet now", "RLock not yet now", "Event not yet now"]


def test_a_condition_asks_its_lock_without_trying_it() -> None:
    assert patched("""
turns = []
condition = threading.Condition(threading.Lock())
pycoro.spawn(turns.append, 1)
with condition:
    condition.notify_all()
print(turns)
try: condition.notify()
except RuntimeError as error: print(error)
""") == ["[]", "cannot notify on un-acquired lock"]


def test_executors_and_logging() -> None:
    assert patched("""
import concurrent.futures, logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
with concurrent.futures.ThreadPoolExecutor(3, "pool") as executor:
    meet = threading.Barrier(3)  # passed only by three at once
    waits = [executor.submit(meet.wait) for _ in range(3)]
    assert not concurrent.futures.wait(waits).not_done
    print(list(executor.map(lambda x: x * x, range(4))))
    executor.submit(logging.info, "hello").result()
""") == ["[0, 1, 4, 9]", "hello"]


def test_an_error_is_told_as_threads_tell_it() -> None:
    done = run_python(
        PATCH + "import threading\nt = threading.Thread(target=lambda: 1 / 0)\n"
        "t.start(); t.join(); print('on')"
    )
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "Exception in thread Thread-" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_interrupt_main_reaches_the_main_program() -> None:
    assert patched("""
import _thread
thread = threading.Thread(target=_thread.interrupt_main)
try:
    thread.start()
    thread.join()
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
""") == ["interrupted"]


def test_fork_in_a_thread_leaves_that_one_alone_in_the_child() -> None:
    assert patched("""
import os, warnings
warnings.simplefilter("ignore")
def forks(main):
    child = os.fork()
    if child == 0:
        print(threading.active_count(), threading.current_thread() is threading.main_thread(),
              flush=True)
        for other in (sleeper, main):
            other.join()
            print(other.is_alive(), flush=True)
        other = threading.Thread(target=print, args=("child's own",), kwargs={"flush": True})
        other.start()
        other.join()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
sleeper = threading.Thread(target=time.sleep, args=(0.05,))
sleeper.start()
thread = threading.Thread(target=forks, args=(threading.main_thread(),))
thread.start()
thread.join()
""") == ["1 True", "False", "False", "child's own", "0"]


def test_fork_in_a_task_that_is_no_thread() -> None:
    assert patched("""
import os, pycoro, warnings
warnings.simplefilter("ignore")
def forks():
    child = os.fork()
    if child == 0:
        print(threading.active_count(), threading.current_thread() is threading.main_thread(),
              flush=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
pycoro.spawn(forks).join()
""") == ["1 True", "0"]


def test_processes_of_multiprocessing() -> None:
    assert patched("""
import multiprocessing
context = multiprocessing.get_context("fork")
ours, theirs = context.Pipe()
process = context.Process(target=lambda: theirs.send("from the child"))
process.start()
print(ours.recv())
process.join()
print(process.exitcode)
""") == ["from the child", "0"]


def test_locks_refuse_what_the_stdlibs_refuse() -> None:
    lock = patching.TABLE["thread"][0][2]()
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        lock.release()
    for blocking, timeout in ((False, 1), (True, -2), (True, float("nan"))):
        with pytest.raises(ValueError, match="timeout"):
            lock.acquire(blocking, timeout)
    with pytest.raises(OverflowError):
        lock.acquire(timeout=1e20)
    assert (lock.locked(), lock.acquire(), lock.locked()) == (False, True, True)
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Own", (type(lock),), {})


def test_rlock_is_the_stdlibs_function_that_makes_ours() -> None:
    assert patched("""
import warnings
print(type(threading.RLock()) is pycoro.thread.RLock)
warnings.simplefilter("ignore")
try:
    print(type(threading.RLock(1)).__module__)
except TypeError:
    print("pycoro.thread")  # from 3.14 on it takes no arguments
""") == ["True", "pycoro.thread"]


def test_the_threading_module_of_ours_needs_no_patch() -> None:
    done = run_python("""
        import threading as real
        import pycoro
        from pycoro import threading
        log, gate, begun = [], threading.Event(), threading.Barrier(3)
        def work():
            begun.wait()
            log.append(threading.current_thread().name)
            gate.wait()
        threads = [threading.Thread(target=work, name=name) for name in "ab"]
        for thread in threads: thread.start()
        begun.wait()
        print(threading.active_count(), real.active_count(), threading.current_thread().name)
        threading.Timer(0, gate.set).start()
        for thread in threads: thread.join()
        print(log, [thread.is_alive() for thread in threads], threading.active_count())
        print(pycoro.spawn(lambda: threading.current_thread().daemon).get())
        print(type(threading.Lock()) is pycoro.thread.LockType, real.Thread is threading.Thread)
        end = threading.Event()
        def late():
            end.wait()
            print("waited for", flush=True)
        threading.Thread(target=late).start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        threading.Thread(target=lambda: 1 / 0, name="fails").start()
        pycoro.spawn_later(0.01, end.set)
    """)
    assert done.stdout.splitlines() == [
        "3 1 MainThread",
        "['a', 'b'] [False, False] 1",
        "True",
        "True False",
        "waited for",
    ], done.stderr
    assert "Exception in thread fails" in done.stderr
    assert "ZeroDivisionError" in done.stderr


# ---- what was imported before the patch ----


def test_names_and_free_locks_of_before_are_put_right() -> None:
    assert output_of("""
        import logging, queue, threading, time
        from time import sleep
        from threading import Thread
        class Holder:
            def __init__(self):
                self.lock = threading.RLock()
        holder, waiting, before = Holder(), queue.Queue(), threading.Event()
        from pycoro import monkey
        monkey.patch_all()
        import pycoro
        print(sleep is pycoro.sleep, type(holder.lock).__module__, type(logging._lock).__module__)
        Thread(target=waiting.put, args=("item",)).start()
        print(waiting.get(timeout=20))
        Thread(target=before.set).start()
        print(before.wait(20))
    """) == ["True pycoro.thread pycoro.thread", "item", "True"]


def test_what_was_put_right_is_told_to_who_asks() -> None:
    assert output_of("""
        import threading
        from time import sleep
        lock, values = threading.Lock(), threading.local()
        values.name = "main"
        from pycoro import monkey, spawn
        monkey.patch_all()
        print(values.name, type(values).__module__, spawn(lambda: hasattr(values, "name")).get())
        report = monkey.report()
        print([line for line in report if "time.sleep" in line and "__main__" in line] != [])
        print([line for line in report if line.endswith("_local object(s) were made before the "
               "patch: replaced where they lay")] != [])
        print([line for line in report if " lock object(s) were made before" in line] != [])
        monkey.unpatch_all()
        print(monkey.report(), values.name, type(values).__module__)
    """) == ["main pycoro.local False", "True", "True", "True", "[] main _thread"]


def test_what_cannot_be_put_right_is_told() -> None:
    done = run_python("""
        import socket, threading
        class Own(socket.socket): pass
        class Values(threading.local): pass
        early = Own(), socket.socket()
        lock, begun, over = threading.Lock(), threading.Event(), threading.Event()
        lock.acquire()
        thread = threading.Thread(target=lambda: (begun.set(), over.wait()), name="early")
        thread.start()
        begun.wait()
        from pycoro import monkey
        monkey.patch_all()
        monkey.get_original("threading", "Lock")
        over.set()
    """)
    assert done.returncode == 0, done.stderr
    assert "__main__.Own was derived from socket" in done.stderr
    assert "__main__.Values was derived from _local before the patch: it is shared" in done.stderr
    assert "2 socket object(s) were made before the patch" in done.stderr
    assert "1 lock(s) were held" in done.stderr
    assert "threads run already: early" in done.stderr
    assert "MonkeyPatchWarning" in done.stderr


@pytest.mark.parametrize("arguments", [["-m", "pycoro.monkey", "--no-dns"]])
def test_a_program_is_run_patched(arguments: list[str], tmp_path: Path) -> None:
    program = str(tmp_path / "program.py")
    Path(program).write_text(
        "import sys, time, pycoro\n"
        "print(__name__, sys.argv[1:], time.sleep is pycoro.sleep)\n"
        "from pycoro import monkey\n"
        "print(monkey.is_module_patched('threading'), monkey.is_object_patched('socket', "
        "'getaddrinfo'))\n"
    )
    run = f"""
import runpy, sys
sys.argv = ["monkey", *{arguments[2:]!r}, {program!r}, "an", "argument"]
runpy.run_module("pycoro.monkey", run_name="__main__", alter_sys=True)
"""
    assert output_of(run) == ["__main__ ['an', 'argument'] True", "True False"]

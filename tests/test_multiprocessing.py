"""multiprocessing, patched by request: pipes, queues, locks, pools and managers let others run.

Each program is a process of its own. That others ran is told by a task that counts meanwhile.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import run_python

from pycoro import monkey

HEAD = """\
import warnings
warnings.simplefilter("ignore")  # a spawned process has imported multiprocessing before the patch
from pycoro import monkey
monkey.patch_all(multiprocessing=True)
import multiprocessing, os, time
import pycoro

class Others:
    "Counts turns from one to the next."
    def __init__(self):
        self.turns = 0
        self.task = pycoro.spawn(self.count)
    def count(self):
        while True:
            pycoro.sleep(0.01)
            self.turns += 1
    def ran(self):
        turns, self.turns = self.turns, 0
        return turns > 3

def later(function, *args):
    time.sleep(0.2)
    function(*args)

def square(x):
    time.sleep(0.1)
    return x * x
"""

PROGRAMS = {
    "pipe": (
        """
        ours, theirs = context.Pipe()
        process = context.Process(target=later, args=(theirs.send, b"x" * 300_000))
        process.start()
        print(len(ours.recv()), others.ran())
        process.join()
        """,
        ["300000 True"],
    ),
    "what is sent to one who is slow": (
        """
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=later, args=(ours.recv,))
        process.start()
        theirs.send(b"x" * 3_000_000)
        print(others.ran())
        process.join()
        print(process.exitcode)
        """,
        ["True", "0"],
    ),
    "queue, of several tasks": (
        """
        queue = context.Queue()
        tasks = [pycoro.spawn(queue.get) for _ in range(3)]
        processes = [context.Process(target=later, args=(queue.put, i)) for i in range(3)]
        for process in processes:
            process.start()
        pycoro.joinall(tasks)
        print(sorted(task.value for task in tasks), others.ran())
        for process in processes:
            process.join()
        """,
        ["[0, 1, 2] True"],
    ),
    "lock": (
        """
        lock = context.Lock()
        with lock:
            print(lock.acquire(block=False), lock.acquire(timeout=0.1), others.ran())
            process = context.Process(target=later, args=(lock.release,))
            process.start()
            lock.acquire()
            print(others.ran())
            process.join()
        """,
        ["False False True", "True"],
    ),
    "event": (
        """
        event = context.Event()
        process = context.Process(target=later, args=(event.set,))
        process.start()
        print(event.wait(20), others.ran())
        process.join()
        """,
        ["True True"],
    ),
    "pool": (
        """
        with context.Pool(2) as pool:
            print(pool.map(square, range(4)), others.ran())
        """,
        ["[0, 1, 4, 9] True"],
    ),
    "manager": (
        """
        with context.Manager() as manager:
            numbers = manager.list([1])
            numbers.append(2)
            print(list(numbers))
        """,
        ["[1, 2]"],
    ),
}


@pytest.mark.parametrize(
    ("what", "method"),
    [*((what, "fork") for what in PROGRAMS), ("pipe", "spawn"), ("pool", "spawn")],
)
def test_others_run_meanwhile(tmp_path: Path, what: str, method: str) -> None:
    body, expected = PROGRAMS[what]
    program = tmp_path / "program.py"  # a file, for spawn imports it
    body = body.replace("        ", "    ")
    program.write_text(
        f'{HEAD}\nif __name__ == "__main__":\n'
        f'    context = multiprocessing.get_context("{method}")\n    others = Others()\n{body}'
    )
    done = run_python(f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')")
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (expected, "", 0)


def test_a_connection_that_is_closed_wakes_its_waiter() -> None:
    code = """
        import multiprocessing
        ours, theirs = multiprocessing.Pipe()
        task = pycoro.spawn(ours.recv)
        pycoro.sleep(0)
        ours.close()
        try:
            task.get()
        except OSError as error:
            print(error)
        """
    done = run_python(
        "from pycoro import monkey; monkey.patch_multiprocessing()\nimport pycoro\n"
        + "\n".join(line[8:] for line in code.splitlines())
    )
    assert "closed" in done.stdout


def test_it_is_a_choice_and_can_be_undone() -> None:
    try:
        monkey.patch_all()
        assert not monkey.is_module_patched("multiprocessing.connection")
        monkey.patch_multiprocessing()
        monkey.patch_multiprocessing()
        assert monkey.is_module_patched("multiprocessing.connection")
    finally:
        monkey.unpatch_all()
    assert not monkey.is_module_patched("multiprocessing.connection")

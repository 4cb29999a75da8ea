"""Ten tasks in turn, and the same ten at once.

A task here waits 50 ms, as if for a database, and gives a number. One after the other that is half
a second; at once, as long as a single one. The function is the same in both cases.
"""

from __future__ import annotations

import time

import pycoro

COUNT = 10
WAIT = 0.05  # seconds


def task(number: int) -> int:
    pycoro.sleep(WAIT)
    return number * number


def in_turn() -> list[int]:
    return [task(number) for number in range(COUNT)]


def at_once() -> list[int]:
    tasks = [pycoro.spawn(task, number) for number in range(COUNT)]
    return [each.get() for each in tasks]


def main() -> None:
    for title, run in [("in turn", in_turn), ("at once", at_once)]:
        begin = time.perf_counter()
        results = run()
        print(f"{title}: {results} in {time.perf_counter() - begin:.2f} s")


if __name__ == "__main__":
    main()

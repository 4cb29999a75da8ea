"""Three sleepers, joined: together they take as long as the longest, not as the sum.

spawn() starts a function as a task, sleep() suspends the task alone, joinall() waits for several,
get() gives what a task returned.
"""

from __future__ import annotations

import time

import pycoro


def sleeper(name: str, seconds: float) -> str:
    print(f"{name} lies down for {seconds} s")
    pycoro.sleep(seconds)
    print(f"{name} wakes up")
    return f"{name} slept {seconds} s"


def main() -> None:
    begin = time.perf_counter()
    tasks = [
        pycoro.spawn(sleeper, "Ann", 0.3),
        pycoro.spawn(sleeper, "Bob", 0.1),
        pycoro.spawn(sleeper, "Cat", 0.2),
    ]
    pycoro.joinall(tasks)
    for task in tasks:
        print(task.get())
    print(f"all three: {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()

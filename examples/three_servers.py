"""One server written three ways, a load against all three, and a picture of the outcome.

    python examples/three_servers.py                        a table and a chart in text
    python examples/three_servers.py --picture three        three.png and three.svg (matplotlib)

A process for each request, a thread for each request, and an event loop (a pycoro task for each).
What a request asks for is the same, and so is the code that serves it: wait 50 ms as if for a
database, then answer. The servers run one after the other in a process of their own; the clients
are coroutines in this one. Memory is what the server and its children use together, shared pages
counted once (Pss in /proc/PID/smaps_rollup), at its highest.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pycoro
import pycoro.socket

WAIT = 0.05  # seconds that a request takes, whoever serves it
BACKLOG = 1024
LOADS = [10, 40, 160]  # clients at once
COLOURS = {"process": "#c44e52", "thread": "#dd8452", "loop": "#4c72b0"}
TITLES = {"process": "a process each", "thread": "a thread each", "loop": "an event loop"}


# ---- the server, three ways ----


def serve_request(connection: Any, wait: Callable[[float], object]) -> None:
    """The same for all three; `wait` suspends the process, the thread, or the task."""
    with connection:
        question = connection.recv(1024)
        wait(WAIT)
        connection.sendall(b"answer to " + question)


def serve_by_processes(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            serve_request(connection, time.sleep)
            os._exit(0)
        connection.close()
        while collect_child():
            pass


def collect_child() -> bool:
    """Is there a child that has ended? It has to be asked for, or it stays as a zombie."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def serve_by_threads(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_request, args=(connection, time.sleep), daemon=True).start()


def serve_by_loop(listener: pycoro.socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        pycoro.spawn(serve_request, connection, pycoro.sleep)


def serve(kind: str) -> None:
    """The server's main program: prints its port, then serves until it is killed."""
    address = ("127.0.0.1", 0)
    if kind == "loop":
        own_listener = pycoro.socket.create_server(address, backlog=BACKLOG)
        print(own_listener.getsockname()[1], flush=True)
        serve_by_loop(own_listener)
    else:
        listener = socket.create_server(address, backlog=BACKLOG)
        print(listener.getsockname()[1], flush=True)
        {"process": serve_by_processes, "thread": serve_by_threads}[kind](listener)


# ---- the load, and what it measures ----


@dataclass
class Outcome:
    """Requests a second, and MiB of memory at most, while that many clients asked at once."""

    clients: int
    throughput: float
    memory: float


def ask(port: int, until: float, answers: list[bytes]) -> None:
    """One client: a connection for each question, one after the other."""
    while time.perf_counter() < until:
        with pycoro.socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            question = b"question %d" % len(answers)
            connection.sendall(question)
            answer = connection.recv(1024)
            if answer != b"answer to " + question:
                raise RuntimeError(f"asked {question!r}, was told {answer!r}")
            answers.append(answer)


def family_memory(pid: int) -> float:
    """MiB of a process and its children, shared pages counted once; one that ends counts 0."""
    total = 0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    for each in [str(pid), *children]:
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def load(pid: int, port: int, clients: int, seconds: float) -> Outcome:
    answers: list[bytes] = []
    begin = time.perf_counter()
    until = begin + seconds
    tasks = [pycoro.spawn(ask, port, until, answers) for _ in range(clients)]
    memory = 0.0
    while time.perf_counter() < until:
        pycoro.sleep(seconds / 4)
        memory = max(memory, family_memory(pid))
    for task in tasks:
        task.get()
    return Outcome(clients, len(answers) / (time.perf_counter() - begin), memory)


def measure(kind: str, seconds: float) -> list[Outcome]:
    """Starts that server, puts the loads on it, and ends it."""
    command = [sys.executable, __file__, "--serve", kind]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline()) if server.stdout else 0
        return [load(server.pid, port, clients, seconds) for clients in LOADS]
    finally:
        server.kill()
        server.wait()


# ---- the outcome, for a reader ----


def print_table(outcomes: dict[str, list[Outcome]]) -> None:
    most = max(each.throughput for row in outcomes.values() for each in row)
    print(f"{'':<15} {'clients':>8} {'requests/s':>11} {'MiB':>7}")
    for kind, row in outcomes.items():
        for each in row:
            bar = "#" * round(30 * each.throughput / most)
            print(
                f"{TITLES[kind]:<15} {each.clients:>8} {each.throughput:>11,.0f} "
                f"{each.memory:>7.1f}  {bar}"
            )


def draw(outcomes: dict[str, list[Outcome]], path: Path) -> None:
    """Throughput and memory over the number of clients, as path.png and path.svg."""
    # Not at the top: the servers run this file too, and would carry its memory.
    plot = importlib.import_module("matplotlib.pyplot")
    figure, (left, right) = plot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for kind, row in outcomes.items():
        clients = [each.clients for each in row]
        style = {"color": COLOURS[kind], "marker": "o", "linewidth": 2, "label": TITLES[kind]}
        left.plot(clients, [each.throughput for each in row], **style)
        right.plot(clients, [each.memory for each in row], **style)
    left.set(title="Throughput", ylabel="requests a second", ylim=(0, None))
    right.set(title="Memory of the server", ylabel="MiB at most", ylim=(0, None))
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(LOADS, [str(clients) for clients in LOADS])
        axes.minorticks_off()
        axes.set_xlabel("clients at once")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)
    figure.suptitle(f"One server, three ways: each request waits {WAIT * 1000:.0f} ms")
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending), dpi=150)
        print(f"wrote {path.with_suffix(ending)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="One server three ways, and a load on each.")
    parser.add_argument("--serve", choices=list(TITLES), help="be that server, no more")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each load; %(default)s")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="also write PATH.png and .svg")
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    outcomes = {kind: measure(kind, options.seconds) for kind in TITLES}
    print_table(outcomes)
    if options.picture and importlib.util.find_spec("matplotlib"):
        draw(outcomes, options.picture)
    elif options.picture:
        print("no picture: matplotlib is not installed (pip install matplotlib)")


if __name__ == "__main__":
    main()

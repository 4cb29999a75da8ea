"""The load: wrk (https://github.com/wg/wrk), an HTTP client in C that is faster than any server
here, with one thread on a core of its own."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from dataclasses import dataclass, replace

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Load:
    """What wrk reported: requests answered, in all and per second, and latencies in seconds.
    `cpu`: seconds that wrk itself took."""

    requests: int
    requests_per_second: float
    median: float
    p99: float
    cpu: float = 0.0


def is_installed() -> bool:
    return all(map(shutil.which, ("wrk", "taskset")))


def drive(port: int, connections: int, seconds: int, core: int, tls: bool = False) -> Load:
    """Loads a server of this machine. Errors: RuntimeError where wrk saw errors, or where its
    report cannot be read."""
    before = _cpu_of_children()
    done = subprocess.run(
        [
            *("taskset", "-c", str(core), "wrk", "--latency", "-t1", f"-c{connections}"),
            *(f"-d{seconds}s", "--timeout", "20s"),
            f"{'https' if tls else 'http'}://127.0.0.1:{port}/",
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
    )
    return replace(parse(done.stdout, done.stderr), cpu=_cpu_of_children() - before)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parse(report: str, complaint: str = "") -> Load:
    rate = re.search(r"Requests/sec: +([\d.]+)", report)
    latencies = dict(re.findall(r"^ +(50|99)% +([\d.]+[a-z]+) *$", report, re.MULTILINE))
    count = re.search(r"(\d+) requests in", report)
    if not rate or not count or len(latencies) != 2:
        raise RuntimeError(f"wrk's report has no figures:\n{report}{complaint}")
    if "Socket errors" in report or "Non-2xx" in report:
        raise RuntimeError(f"the server failed some requests:\n{report}")
    if count[1] == "0":
        raise RuntimeError("the server answered no request: is the machine very busy?")
    return Load(int(count[1]), float(rate[1]), _seconds(latencies["50"]), _seconds(latencies["99"]))


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]

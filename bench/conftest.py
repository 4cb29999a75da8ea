"""How comparisons run under pytest-benchmark.

pytest-benchmark measures one function for each test. Peers are to alternate with it, so they run
in the set-up of its rounds, which it does not count: round by round, each implementation gives one
sample. Its own columns are the time that a sample of pycoro takes, loops included; the comparison
lies in `extra_info`, is printed at the end, and is in the file of --benchmark-json.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from bench import peers
from bench.measure import Comparison, Sample, progress
from bench.tables import comparison_lines

Compare = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pycoro's benchmarks")
    group.addoption("--quick", action="store_true", help="fewer rounds: to see that all works")
    group.addoption(
        "--connections",
        default="100",
        help="of echo and WSGI servers, as in 10,100,1000 (default 100)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "connections" in metafunc.fixturenames:
        counts = [int(count) for count in metafunc.config.getoption("connections").split(",")]
        metafunc.parametrize("connections", counts)


@pytest.fixture(autouse=True, scope="session")
def _frozen_heap() -> None:
    # What pytest holds is not to be walked by each collection, of any implementation.
    gc.collect()
    gc.freeze()


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("quick"))


@pytest.fixture
def compare(benchmark: Any, quick: bool) -> Iterator[Compare]:
    """compare(comparison, samplers, rounds): samplers by name, pycoro's first; takes their samples
    and keeps them."""

    def compare(comparison: Comparison, samplers: Mapping[str, Sample], rounds: int = 100) -> None:
        rounds = min(rounds, 3) if quick else rounds
        (first, sample), *others = samplers.items()
        samples = comparison.samples = {name: [] for name in samplers}

        def peers_turn() -> None:
            progress(f"{comparison.title}: round {len(samples[first]) + 1} of {rounds}")
            for name, other in others:
                samples[name].append(other())

        benchmark.group = comparison.title
        benchmark.pedantic(lambda: samples[first].append(sample()), setup=peers_turn, rounds=rounds)
        progress("")
        comparison.busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        benchmark.extra_info.update(comparison.as_dict())

    yield compare


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    # What identifies the machine or its folders has no place in a file to be published.
    output_json["machine_info"] = {"versions": peers.versions(), "machine": peers.machine()}
    output_json["commit_info"] = {}


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    session = getattr(config, "_benchmarksession", None)
    comparisons = [
        Comparison.from_dict(dict(entry.extra_info))
        for entry in (session.benchmarks if session else [])
        if "samples" in entry.extra_info
    ]
    if comparisons:
        terminalreporter.section("comparisons: figure, ratio of pycoro to it")
        for comparison in comparisons:
            for line in comparison_lines(comparison, sys.version_info[:2]):
                terminalreporter.write_line(line)

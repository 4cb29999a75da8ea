"""Results as files: one JSON for each version of Python, with every sample that was taken.

A later run replaces the comparisons that it made and keeps the others, as long as the machine and
all versions are the same; else it starts anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import Comparison

DIRECTORY = Path(__file__).parent / "results"


@dataclass
class Results:
    """What was measured with one version of Python."""

    versions: dict[str, str]
    machine: dict[str, str]
    comparisons: list[Comparison]

    @property
    def python(self) -> tuple[int, int]:
        major, minor = self.versions["Python"].split(".")[:2]
        return int(major), int(minor)

    @property
    def name(self) -> str:
        return "python-{}.{}".format(*self.python)

    @property
    def dates(self) -> str:
        """When it was measured: a day, or the first and the last."""
        days = sorted({comparison.date for comparison in self.comparisons})
        return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "never"

    def missing(self) -> list[str]:
        """Peers that were not there."""
        return [name for name, version in self.versions.items() if version == "not installed"]

    def find(self, title: str) -> Comparison | None:
        return next((one for one in self.comparisons if one.title.startswith(title)), None)

    def merge(self, former: Results) -> None:
        """Takes over from a former run what this one has not measured."""
        if (former.versions, former.machine) == (self.versions, self.machine):
            by_title = {one.title: one for one in (*former.comparisons, *self.comparisons)}
            self.comparisons = list(by_title.values())

    def save(self, directory: Path) -> Path:
        content = {
            "versions": self.versions,
            "machine": self.machine,
            "comparisons": [_rounded(one.as_dict()) for one in self.comparisons],
        }
        path = directory / f"{self.name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return path


def load(path: Path) -> Results:
    content = json.loads(path.read_text())
    comparisons = [Comparison.from_dict(data) for data in content["comparisons"]]
    return Results(content["versions"], content["machine"], comparisons)


def load_all(directory: Path) -> list[Results]:
    """Of every version that is there, oldest first."""
    found = [load(path) for path in directory.glob("python-*.json")]
    return sorted(found, key=lambda results: results.python)


def from_pytest(path: Path) -> Results:
    """From the file of --benchmark-json (see conftest.py for what is in it)."""
    content = json.loads(path.read_text())
    entries = [entry["extra_info"] for entry in content["benchmarks"]]
    comparisons = [Comparison.from_dict(entry) for entry in entries if "samples" in entry]
    return Results(**content["machine_info"], comparisons=comparisons)


def _rounded(data: Any) -> Any:
    """Five digits of every number: more would be noise."""
    if isinstance(data, float):
        return float(f"{data:.5g}")
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    return [_rounded(value) for value in data] if isinstance(data, list | tuple) else data

"""`python -m bench.report`: measures with this Python and writes bench/results/.

There, each version of Python has python-3.X.json (all samples) and python-3.X.md (tables);
README.md and the plots put together all versions whose JSON is there. Without matplotlib (of the
extra `bench`) there are no new plots, and it says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import results
from bench.pages import combined_page, version_page
from pycoro.programs import printing

try:
    from bench import plots
except ImportError:
    HAVE_PLOTS = False
else:
    HAVE_PLOTS = True

PLOTS = ("ratios.svg", "depth.svg", "memory.svg", "echo.svg", "connections.svg", "wsgi.svg")
PARTS = {  # and the files that measure them
    **{part: (part,) for part in ("switch", "greenlet", "runtime", "memory", "echo", "wsgi")},
    "connections": ("echo", "connections"),
}


def main() -> int:
    options = parse_arguments()
    directory: Path = options.results
    if options.quick and not options.read:
        directory = Path(tempfile.mkdtemp(prefix="pycoro-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    failed = 0 if options.read else measure(directory, options)
    paths = write(directory)
    print("written:", *(path.name for path in paths), "in", directory)
    return failed


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--read", action="store_true", help="measure nothing, write from the JSON")
    parser.add_argument("--quick", action="store_true", help="few rounds, into a temporary folder")
    parser.add_argument("--only", metavar="PART", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--connections", default="10,100,1000", help="of echo and WSGI")
    parser.add_argument("--results", type=Path, default=results.DIRECTORY, metavar="FOLDER")
    return parser.parse_args()


def measure(directory: Path, options: argparse.Namespace) -> int:
    """Runs the benchmarks and saves what they gave; pytest's exit status."""
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        measured = Path(scratch) / "benchmark.json"
        command = [sys.executable, "-m", "pytest", "-q", "-s", "--benchmark-quiet"]
        command += [f"--benchmark-json={measured}", f"--connections={options.connections}"]
        command += ["--quick"] if options.quick else []
        files = dict.fromkeys(file for part in options.only for file in PARTS[part])
        command += [str(here / f"test_{file}.py") for file in files]
        status = subprocess.run(command, cwd=here.parent).returncode
        if not measured.exists() or not measured.stat().st_size:
            raise SystemExit("nothing was measured: see above what pytest says")
        new = results.from_pytest(measured)
    former = directory / f"{new.name}.json"
    if former.exists():
        new.merge(results.load(former))
    new.save(directory)
    return status


def write(directory: Path) -> list[Path]:
    """All pages and plots from the JSON files that are there."""
    found = results.load_all(directory)
    if not found:
        raise SystemExit(f"no results in {directory}: run `python -m bench.report` first")
    paths = []
    for one in found:
        paths.append(directory / f"{one.name}.md")
        paths[-1].write_text(version_page(one))
    if HAVE_PLOTS:
        paths += plots.draw_all(found, directory)
    else:
        print("no plots: they need matplotlib (pip install matplotlib, or the extra `bench`)")
    drawn = [name for name in PLOTS if (directory / name).exists()]
    paths.append(directory / "README.md")
    paths[-1].write_text(combined_page(found, drawn))
    return paths


if __name__ == "__main__":
    with printing():
        sys.exit(main())

"""What `python -m pycoro.monkey [--module] [--audit[=MS]] [--no-WHAT ...] program args` does."""

from __future__ import annotations

import sys
from typing import NoReturn

from ..programs import printing, run_program
from .patching import audit, patch_all

PARTS = [
    "socket",
    "dns",
    "time",
    "select",
    "thread",
    "os",
    "ssl",
    "subprocess",
    "sys",
    "builtins",
    "signal",
    "queue",
    "multiprocessing",
]

USAGE = f"""usage: python -m pycoro.monkey [--module] [--audit[=MS]] [--WHAT | --no-WHAT ...]
                               program [args ...]

Runs a program unchanged, after monkey.patch_all(): its sockets, threads, locks, queues, child
processes and sleeps let other tasks run while they wait. With --module, `program` is the name of a
module, as of python -m. --no-WHAT leaves a part alone, --WHAT adds one that is not a default (sys,
multiprocessing).

--audit tells on stderr of each place that keeps all other tasks waiting for more than MS
milliseconds (default: 100), with its stack, and sums up at the end: calls that block in spite of
the patches, and long computations.

WHAT: {", ".join(PARTS)}
"""


def main(argv: list[str] | None = None) -> None:
    """Does what the command line asks for, by default that of this process."""
    argv = sys.argv[1:] if argv is None else argv
    options: dict[str, bool] = {}
    as_module = False
    limit: float | None = None
    while argv and argv[0].startswith("-"):
        option = argv.pop(0)
        if option in ("--module", "-m"):
            as_module = True
            continue
        if option in ("--help", "-h"):
            with printing():
                print(USAGE)
            return
        if option == "--audit" or option.startswith("--audit="):
            limit = _seconds(option)
            continue
        name = option.removeprefix("--")
        wanted = not name.startswith("no-")
        name = name.removeprefix("no-")
        if name not in PARTS:
            _refuse(f"pycoro.monkey: unknown option {option}\n\n{USAGE}")
        options[name] = wanted
    if not argv:
        _refuse(USAGE)
    patch_all(**options)
    if limit is not None:
        audit(limit)
    run_program(argv, as_module=as_module, command="pycoro.monkey")


def _seconds(option: str) -> float:
    text = option.removeprefix("--audit").removeprefix("=") or "100"
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = 0.0
    if not 0 < milliseconds < float("inf"):
        _refuse(f"pycoro.monkey: --audit takes a number of milliseconds, not {text!r}")
    return milliseconds / 1000


def _refuse(why: str) -> NoReturn:
    """With argparse's exit code."""
    print(why, file=sys.stderr)
    sys.exit(2)

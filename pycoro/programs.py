"""What is common to the commands: those that run somebody's program, or serve his application, in
here, and all that print."""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def run_program(argv: Sequence[str], *, as_module: bool, command: str) -> None:
    """Runs argv[0], a file, folder or archive, or a module's name, as python itself does: it finds
    `argv` in sys.argv. Exits with a line that begins with `command` where it is not there."""
    sys.argv = list(argv)
    name = sys.argv[0]
    if as_module:
        if not is_module(name):
            sys.exit(f"{command}: there is no module {name}")
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        if not Path(name).exists():
            sys.exit(f"{command}: there is no file {name}")
        sys.path[0] = str(Path(name).resolve().parent)
        runpy.run_path(name, run_name="__main__")


def is_module(name: str) -> bool:
    """Is there one? Imports the package that it is in. Errors: those of that."""
    if not all(name.split(".")):
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):  # it is what the package asks for
            raise
        return False


@contextmanager
def printing() -> Iterator[None]:
    """For what a command prints itself, help included, and not for a program that it runs: where
    nobody reads that any more, as with `| head -1`, the command ends quietly, with exit code 1."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # What is left in its buffer: the interpreter flushes it once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)

"""The commands that run a program with something of pycoro's in another package's place.

`program` is a file, or with -m a module's name, or with -c code, as for python itself; so it finds
its own arguments in sys.argv, and its own folder first on sys.path.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from .programs import printing, run_program


def main(package: str, install: Callable[[int | None], None], argv: Sequence[str]) -> None:
    """python -m pycoro.`package`. install(stack_size) is that module's."""
    parser = argparse.ArgumentParser(
        prog=f"python -m pycoro.{package}",
        usage="%(prog)s [--stack-size BYTES] {program | -m module | -c code} [args ...]",
        description=f"Runs a program with pycoro.{package} in the place of {package} (PyPI).",
    )
    parser.add_argument("--stack-size", type=int, metavar="BYTES", help="of each greenlet")
    parser.add_argument("-m", dest="module", action="store_true", help="program is a module's name")
    parser.add_argument("-c", dest="code", action="store_true", help="program is code")
    parser.add_argument("program", metavar="program")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    with printing():
        options = parser.parse_args(argv)
    try:
        install(options.stack_size)
    except ValueError as error:
        parser.error(f"argument --stack-size: {error}")
    if options.code:
        sys.argv = ["-c", *options.args]
        exec(compile(options.program, "<string>", "exec"), sys.modules["__main__"].__dict__)
    else:
        program = [options.program, *options.args]
        run_program(program, as_module=options.module, command=f"pycoro.{package}")

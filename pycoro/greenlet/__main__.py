"""python -m pycoro.greenlet: runs a program with this module in greenlet's place.

`program` is a file, or with -m a module's name, or with -c code, as for python itself; so it finds
its own arguments in sys.argv, and its own folder first on sys.path.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from . import install


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pycoro.greenlet",
        usage="%(prog)s [--stack-size BYTES] {program | -m module | -c code} [args ...]",
        description="Runs a program with pycoro.greenlet in the place of greenlet (PyPI).",
    )
    parser.add_argument("--stack-size", type=int, metavar="BYTES", help="of each greenlet")
    parser.add_argument("-m", dest="module", action="store_true", help="program is a module's name")
    parser.add_argument("-c", dest="code", action="store_true", help="program is code")
    parser.add_argument("program", metavar="program")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    install(options.stack_size)
    sys.argv = [options.program, *options.args]
    if options.module:
        runpy.run_module(options.program, run_name="__main__", alter_sys=True)
    elif options.code:
        sys.argv[0] = "-c"
        exec(compile(options.program, "<string>", "exec"), sys.modules["__main__"].__dict__)
    else:
        sys.path[0] = str(Path(options.program).resolve().parent)
        runpy.run_path(options.program, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])

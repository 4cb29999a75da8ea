"""The command line: python -m pycoro.celery -A app worker -c 1000

Celery's own command in a process that has been patched before Celery is imported; its `worker` has
the pool of coroutines. All other commands and options are Celery's.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

from .. import monkey

POOL = "pycoro.celery:TaskPool"
NAME = "python -m pycoro.celery"

# Those of Celery's options before the command that are followed by a value.
WITH_VALUE = {"-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config"}
WITH_VALUE.add("--workdir")


def find_command(args: list[str]) -> str | None:
    """worker, inspect, ...: the first argument that is neither an option nor its value."""
    rest = iter(args)
    for argument in rest:
        if argument in WITH_VALUE:
            next(rest, None)
        elif not argument.startswith("-"):
            return argument
    return None


def with_pool(args: list[str]) -> list[str]:
    """A worker's arguments, and -P custom. Exits where they ask for what cannot be."""
    end = args.index("--") if "--" in args else len(args)
    for argument in args[:end]:
        name = argument.partition("=")[0]
        if name == "--pool" or argument.startswith("-P"):
            sys.exit(f"{NAME}: the pool is its own; leave out {name}, or run celery itself")
        if name in ("-D", "--detach"):
            sys.exit(f"{NAME}: {name} would start an unpatched celery; let a supervisor run this")
    return [*args[:end], "-P", "custom", *args[end:]]


def main(args: list[str]) -> None:
    """Runs Celery with these arguments, and exits as it does."""
    if find_command(args) == "multi":
        sys.exit(f"{NAME}: multi would start unpatched workers; let a supervisor run this")
    given = with_pool(args) if find_command(args) == "worker" else args
    # What a worker runs again, after python, for SIGHUP.
    sys.argv = ["-m", "pycoro.celery", *args]
    monkey.patch_all()
    os.environ["CELERY_CUSTOM_WORKER_POOL"] = POOL
    if importlib.util.find_spec("celery") is None:
        sys.exit(f"{NAME} needs celery: pip install 'pycoro[celery]'")
    command = importlib.import_module("celery.bin.celery").celery
    command.main(args=given, prog_name=NAME, auto_envvar_prefix="CELERY")


if __name__ == "__main__":
    main(sys.argv[1:])

"""The command line: python -m pycoro.celery -A app worker -c 1000

Celery's own command in a process that has been patched before Celery is imported; its `worker` has
the pool of coroutines. All other commands and options are Celery's. What cannot be is refused where
click has parsed it, so it does not matter how it was written, or whether it was an argument at all.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any, NoReturn

from .. import monkey

POOL = "pycoro.celery:TaskPool"
NAME = "python -m pycoro.celery"


def refuse(what: str) -> NoReturn:
    sys.exit(f"{NAME}: {what}")


def take_pool(name: str) -> Any:
    """The pool's class. Exits where another one is asked for."""
    if name != "custom":
        refuse(f"the pool is its own, not {name}: leave out -P, or run celery itself")
    return importlib.import_module("celery.concurrency").get_implementation(name)


def check_detach(context: Any, option: Any, value: bool) -> bool:
    """click's callback of an option. Exits where that was given."""
    if value:
        refuse("--detach would start an unpatched celery; let a supervisor run this")
    return value


def refuse_multi(*_: Any, **__: Any) -> NoReturn:
    refuse("multi would start unpatched workers; let a supervisor run this")


def suit(commands: dict[str, Any]) -> None:
    """Celery's commands, for this process."""
    multi = commands["multi"]
    multi.callback = refuse_multi
    multi.hidden = True
    multi.add_help_option = False  # then --help is refused as well
    options = {option.name: option for option in commands["worker"].params}
    pool, detach = options["pool"], options["detach"]
    pool.hidden = detach.hidden = True
    pool.default = "custom"
    # Celery's type would import another pool, which may not be here.
    pool.type = importlib.import_module("click.types").FuncParamType(take_pool)
    detach.callback = check_detach


def main(args: list[str]) -> None:
    """Runs Celery with these arguments, and exits as it does."""
    # What a worker runs again, after python, for SIGHUP.
    sys.argv = ["-m", "pycoro.celery", *args]
    monkey.patch_all()
    os.environ["CELERY_CUSTOM_WORKER_POOL"] = POOL
    if importlib.util.find_spec("celery") is None:
        sys.exit(f"{NAME} needs celery: pip install 'pycoro[celery]'")
    command = importlib.import_module("celery.bin.celery").celery
    suit(command.commands)
    command.main(args=args, prog_name=NAME, auto_envvar_prefix="CELERY")


if __name__ == "__main__":
    main(sys.argv[1:])

"""A pool for Celery's worker, of coroutines: python -m pycoro.celery -A app worker -c 1000

The command patches the standard library, then is Celery's own, with this pool. Elsewhere the pool
is Celery's `custom` one: CELERY_CUSTOM_WORKER_POOL=pycoro.celery:TaskPool, and -P custom, in a
process that has called monkey.patch_all() before it imported Celery. Needs the extra: pip install
'pycoro[celery]'. docs/celery.md says what holds.

pool    TaskPool: which tasks run, and how many     job     one of them: its limits and its end
timer   what is to happen later                     results waiting for those of other tasks
worker  what else a worker has to have              transport  taking messages from Redis

The pool is not imported before it is asked for, so that the command can patch first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pool import TaskPool

__all__ = ["TaskPool"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(f"{__name__}.pool").TaskPool
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(__name__.partition(".")[0]):
            raise
        raise ImportError(f"{__name__} needs celery: pip install 'pycoro[celery]'") from error

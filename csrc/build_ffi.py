"""Builds pycoro._native_cffi from api.h and the C files; setuptools calls `ffi` by cffi_modules.

Chooses one pystate_3XX.c by the running interpreter's version and one swap_*.c by its machine.
Environment: PYCORO_SWAP=setjmp takes the portable switch everywhere; PYCORO_CFLAGS adds options
(-DPC_STACK_HOSTILE for tests: no stack is used twice, dead ones are poisoned).
"""

import os
import platform
import re
import shlex
import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SUPPORTED = [(3, 11), (3, 12), (3, 13), (3, 14), (3, 15)]

PREAMBLE = r"""
#include <Python.h>
#include "api.h"

/* The GIL stays held in all of our functions (api.h says why): cffi's wrappers, which follow
   below, would release it around each call. */
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }

/* None of our functions reports by errno. */
#undef _cffi_restore_errno
#undef _cffi_save_errno
#define _cffi_restore_errno() ((void)0)
#define _cffi_save_errno() ((void)0)

/* uintptr_t stands for a Python object (api.h); the other types are integers as ever. */
#undef _cffi_to_c_int
#undef _cffi_from_c_int
#define PC_TO_uintptr_t(object) ((uintptr_t)(object))
#define PC_TO_intptr_t(object) ((intptr_t)PyLong_AsSsize_t(object))
#define PC_TO_int(object) ((int)PyLong_AsLong(object))
#define PC_FROM_uintptr_t(result) ((PyObject *)(result))
#define PC_FROM_intptr_t(result) \
    ((result) <= 0 && PyErr_Occurred() ? NULL : PyLong_FromSsize_t(result))
#define PC_FROM_int(result) PyLong_FromLong(result)
#define _cffi_to_c_int(object, type) PC_TO_##type(object)
#define _cffi_from_c_int(result, type) PC_FROM_##type(result)
"""


def pystate_source() -> str:
    """The file for the running version; SystemExit where there is none."""
    version = sys.version_info[:2]
    if sys.implementation.name != "cpython" or version not in SUPPORTED:
        known = ", ".join(f"{major}.{minor}" for major, minor in SUPPORTED)
        raise SystemExit(
            f"pycoro knows the inside of CPython {known}, and not of "
            f"{platform.python_implementation()} {platform.python_version()}: "
            "a new version needs a csrc/pystate_3XX.c of its own (see CONTRIBUTING.md)"
        )
    return f"pystate_{version[0]}{version[1]}.c"


def swap_source() -> str:
    """The switch for this machine, the portable one where there is none of its own."""
    machine = os.environ.get("PYCORO_SWAP") or platform.machine().lower()
    name = f"swap_{machine.replace('amd64', 'x86_64')}.c"
    return name if (HERE / name).exists() and sys.maxsize > 2**32 else "swap_setjmp.c"


def declarations() -> str:
    """api.h without its comments; cffi wants enumerators spelled out as they are."""
    return re.sub(r"/\*.*?\*/", "", (HERE / "api.h").read_text(), flags=re.DOTALL)


SOURCES = [
    "api.c",
    "api_start.c",
    "api_threads.c",
    "inspect.c",
    "object.c",
    "greenlet.c",
    "greenlet_current.c",
    "greenlet_drop.c",
    "greenlet_module.c",
    "greenlet_run.c",
    "greenlet_switch.c",
    "greenlet_thread.c",
    "local.c",
    "coro.c",
    "stack.c",
    "pages.c",
    "guard.c",
    "context_ucontext.c",
]

ffi = FFI()
ffi.cdef(declarations())
ffi.set_source(
    "pycoro._native_cffi",
    PREAMBLE,
    sources=[os.path.relpath(HERE / name) for name in [*SOURCES, pystate_source(), swap_source()]],
    include_dirs=[os.path.relpath(HERE)],
    depends=[os.path.relpath(path) for path in sorted(HERE.glob("*.h"))],
    define_macros=[("_CFFI_NO_LIMITED_API", None)],
    py_limited_api=False,
    extra_compile_args=[
        "-std=gnu11",
        "-fvisibility=hidden",
        "-ftls-model=initial-exec",
        "-fno-strict-aliasing",
        # _longjmp to another stack is what we are here for.
        "-U_FORTIFY_SOURCE",
        *shlex.split(os.environ.get("PYCORO_CFLAGS", "")),
    ],
)

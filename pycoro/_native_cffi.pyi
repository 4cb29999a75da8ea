"""What the compiled module looks like to a type checker; _native.py gives its parts their names.

cffi makes the module at build time from csrc/api.h, where the functions and their contracts are.
"""

from typing import Any

lib: Any
ffi: Any

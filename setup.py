"""The C library is built by cffi from csrc/build_ffi.py; the rest is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["csrc/build_ffi.py:ffi"])

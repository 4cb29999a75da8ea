"""Builds the C library: csrc/build_ffi.py describes it to cffi. All else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["csrc/build_ffi.py:ffi"])

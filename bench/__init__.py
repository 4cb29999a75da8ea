"""Benchmarks of pycoro against greenlet, gevent, asyncio, uvloop and threads.

`pytest bench` measures and prints ratios; `python -m bench.report` does that and writes
bench/results/. README.md in here says what is measured, and how. No figure is asserted anywhere.
"""

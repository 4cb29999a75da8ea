"""CPython's own tests, run with its modules patched: `python -m tests.stdlib test_socket ...`.

__main__ is the command, worker runs one module in a process of its own, skips lists what is left
out and why.
"""

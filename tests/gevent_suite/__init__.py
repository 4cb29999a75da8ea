"""gevent's own tests, run on pycoro: `python -m tests.gevent_suite [-v] [NAME...]`.

__main__ is the command, worker runs one module in a process of its own, stand_in is what these find
as gevent, table lists what is not run, or must fail, and why.
"""

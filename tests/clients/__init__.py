"""Real client libraries, unchanged, under monkey.patch_all(), against real servers.

Servers and clients have processes of their own; that of the tests stays as it was. `servers.py`
starts the servers, `delayed.py` is those that Debian has none of. A client is a module with_NAME.py
(see `adapter.py`); `scenarios.py` is the program that plays one scenario with one of them, patched.
"""

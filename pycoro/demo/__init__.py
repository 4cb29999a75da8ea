"""What `python -m pycoro` runs: one echo server and its clients, for pycoro and for its peers.

world.py says what a way of waiting must offer, echo.py and bare.py measure with it, and each
with_*.py module offers one: pycoro, gevent (greenlet), asyncio, threads. A with_*.py module is a
program too; report.py makes the table. Nothing else in pycoro imports from here.
"""

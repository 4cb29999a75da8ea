"""python -m pycoro.gevent: runs a program with pycoro in gevent's place."""

import sys

from ..standin import main
from . import install

if __name__ == "__main__":
    main("gevent", install, sys.argv[1:])

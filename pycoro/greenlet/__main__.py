"""python -m pycoro.greenlet: runs a program with this module in greenlet's place."""

import sys

from ..standin import main
from . import install

if __name__ == "__main__":
    main("greenlet", install, sys.argv[1:])

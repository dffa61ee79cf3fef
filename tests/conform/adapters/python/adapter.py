"""Bailee in Python behind newline-delimited JSON: see `bailee/pipe.py` for what is asked and answered."""

import sys

from bailee.pipe import serve

if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout)

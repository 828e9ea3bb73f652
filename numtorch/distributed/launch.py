"""`python -m numtorch.distributed.launch`: numtorch run, whose script gets --local-rank=N (without
--use-env)."""
from __future__ import annotations

import sys

from .run import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m numtorch.distributed.launch", flag=True))

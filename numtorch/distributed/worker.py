"""One process of a job: what `numtorch run` starts, `worker.py MODE SCRIPT args…`."""
from __future__ import annotations

import json
import os
import sys
import time
import traceback

from . import mpi


def describe() -> int:
    """Set RANK and its like from what the launcher said; the rank."""
    env = os.environ
    job = mpi.launched()
    local = job[2] if job is not None else int(env.pop("NUMTORCH_LOCAL_RANK", "0"))
    rank = job[0] if job is not None else int(env.pop("NUMTORCH_FIRST_RANK", "0")) + local
    env.update(RANK=str(rank), LOCAL_RANK=str(local), ROLE_RANK=str(rank))
    if job is not None:
        env.update(WORLD_SIZE=str(job[1]), LOCAL_WORLD_SIZE=str(job[3]))
    return rank


def report(rank: int, text: str) -> None:
    """Leave the launcher a note of how this process failed; without one, print it."""
    folder = os.environ.get("NUMTORCH_ERRORS")
    if not folder:
        print(f"rank {rank}:\n{text}", file=sys.stderr)
        return
    with open(os.path.join(folder, f"{rank}.part"), "w", encoding="utf-8") as f:
        json.dump({"rank": rank, "time": time.time(), "text": text}, f)
    os.rename(f.name, os.path.join(folder, f"{rank}.json"))


def leave(status: int) -> None:
    """End at once: at a regular exit MPI would wait for the other processes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(argv: list[str]) -> None:
    """Run a script, module or program as one process of the job."""
    mode, script, *args = argv
    rank = describe()
    for stream in (sys.stdout, sys.stderr):
        # Whole lines reach the launcher, also under PYTHONUNBUFFERED.
        stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    if mode.endswith("+rank"):
        mode, args = mode[:-5], [f"--local-rank={os.environ['LOCAL_RANK']}", *args]
    if mode == "program":
        os.execvp(script, [script, *args])
    from ..__main__ import _of_runner
    from ..runner import run
    try:
        run(script, args, mode == "module")
    except SystemExit as e:
        if e.code in (None, 0):
            return
        report(rank, e.code if isinstance(e.code, str) else f"exit status {e.code}")
        leave(e.code if isinstance(e.code, int) else 1)
    except BaseException as e:
        tb = e.__traceback__
        while tb is not None and (_of_runner(tb.tb_frame) or tb.tb_frame.f_code.co_filename == __file__):
            tb = tb.tb_next
        report(rank, "".join(traceback.format_exception(type(e), e.with_traceback(tb), tb)))
        leave(1)


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m numtorch script.py args…`: run a PyTorch script on numtorch."""
from __future__ import annotations

import sys
from types import FrameType

USAGE = """usage: python -m numtorch [-m] SCRIPT [ARG ...]
       python -m numtorch run --nproc-per-node N SCRIPT [ARG ...]

Runs SCRIPT with `import torch` and `import torchvision` meaning numtorch.
  -m    SCRIPT is a module name, as for python -m
  run   in several processes: torchrun's options (python -m numtorch run --help)"""


def _of_runner(frame: FrameType) -> bool:
    module, path = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
    return (module.startswith(("numtorch.__main__", "numtorch.runner", "__main__", "runpy"))
            and path.endswith(("numtorch/__main__.py", "numtorch/runner.py", "runpy.py")))


def main() -> int:
    """The command line. Returns the exit status."""
    args = sys.argv[1:]
    if args and args[0] == "run":
        from .distributed.run import main as launch
        return launch(args[1:])
    module = bool(args) and args[0] == "-m"
    if module:
        args = args[1:]
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if args else 2
    from .runner import run
    try:
        run(args[0], args[1:], module)
    except SystemExit:
        raise
    except BaseException as e:
        # Show the user's frames: drop those of this runner above them.
        tb = e.__traceback__
        while tb is not None and _of_runner(tb.tb_frame):
            tb = tb.tb_next
        sys.excepthook(type(e), e.with_traceback(tb), tb)  # the script's own, if it set one
        return 130 if isinstance(e, KeyboardInterrupt) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

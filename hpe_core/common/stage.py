"""Runs a stage: its options are the arguments of `main`; user errors are shown as one line."""

import atexit
import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable
from functools import partial
from threading import Timer
from typing import Any

import tyro

from hpe_core.common.errors import InputError

OPTIONS = (tyro.conf.OmitArgPrefixes,)  # --tests for folders.tests, not --folders.tests


def run(main: Callable[..., None]) -> None:
    """Calls `main` with the options of the command line: `--folder-name x` → `folder_name=x`.

    Names, types and defaults come from its signature (the fields of a dataclass are options, too),
    the help from its docstring. Exits with 2 on a wrong command line. An InputError or OSError
    (missing file, full disk) is for the user to fix: it is printed as one line, exit status 1. Any
    other exception is a bug and keeps its traceback. On Ctrl-C and SIGTERM, prints what was saved
    and exits with 130.
    """
    gc.freeze()  # what was imported stays: it need not be looked at again
    atexit.register(gc.unfreeze)  # Python's end needs to
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata, with paths of Pillow's
    gc.enable()  # off since pipeline/__init__.py
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        module = sys.modules[main.__module__]
        program = f"python -m {module.__spec__.name}" if module.__spec__ else None
        tyro.cli(main, prog=program, description=module.__doc__, config=OPTIONS)
    except KeyboardInterrupt as stop:
        kept = getattr(stop, "__notes__", ["nothing new is saved"])
        print(f"stopped: {'; '.join(kept)}", file=sys.stderr)
        sys.exit(130)
    except (InputError, OSError) as error:
        words = "; ".join([str(error), *getattr(error, "__notes__", [])])
        sys.exit(f"error: {' '.join(words.split())}")


def _stop(number: int, frame: object) -> None:
    # Loader processes may have got the signal, too, and torch would raise an error as they die.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.unraisablehook = partial(_again, number)
    raise KeyboardInterrupt


def _again(number: int, lost: Any) -> None:
    """An interrupt that falls into a destructor is lost there: it comes once more.

    Nothing else is said: one that falls into a constructor of torch leaves half an object, whose
    destructor would print its own error.
    """
    if isinstance(lost.exc_value, KeyboardInterrupt):
        Timer(0.02, os.kill, [os.getpid(), number]).start()  # wakes the main thread, too

"""How a stage ends: quietly, or with one line that says what the user can do about it."""

import argparse
import signal
import sys
from collections.abc import Callable

from hpe_core.errors import InputError


def run(main: Callable[..., None], parser: argparse.ArgumentParser) -> None:
    """Parses the command line and calls `main` with it: `--folder-name x` → `main(folder_name=x)`.

    An InputError or an OSError (a missing file, a full disk) is the user's to mend: it is printed
    as one line and the process exits with 1. Anything else is our defect and keeps its traceback.
    Ctrl-C and SIGTERM end it with a line that says what was saved, and 130.
    """
    arguments = vars(parser.parse_args())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        main(**arguments)
    except KeyboardInterrupt as stop:
        kept = getattr(stop, "__notes__", ["nothing new is saved"])
        print(f"stopped: {'; '.join(kept)}", file=sys.stderr)
        sys.exit(130)
    except (InputError, OSError) as error:
        words = "; ".join([str(error), *getattr(error, "__notes__", [])])
        sys.exit(f"error: {' '.join(words.split())}")


def _stop(number: int, frame: object) -> None:
    """The whole process group may have got the signal, and torch raises for loaders that died."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    raise KeyboardInterrupt

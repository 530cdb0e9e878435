"""Errors that the user can fix: shown as one line, never as a traceback."""

from pathlib import Path
from reprlib import Repr

_BRIEF = Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict = 2, 8, 8
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 100


def brief(value: object) -> str:
    """A shortened `repr`, for messages: with YAML aliases a value can fill gigabytes."""
    return _BRIEF.repr(value)


class InputError(ValueError):
    """A file, folder, parameter or row that cannot be used as it is.

    The message names it, the value found, the value expected and what to do.
    """


class UnreadableFileError(InputError):
    """A file that cannot be used. `reason` is the message without the path, for reports."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class UnreadableImageError(UnreadableFileError):
    """An image that is missing, too large, truncated or not an image."""

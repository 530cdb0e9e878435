"""What a user did or has that stops the program: shown as one line, never as a traceback."""

from pathlib import Path
from reprlib import Repr

_BRIEF = Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict = 2, 8, 8
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 100


def brief(value: object) -> str:
    """`repr` of a value found, for a message: YAML's aliases put gigabytes into a line."""
    return _BRIEF.repr(value)


class InputError(ValueError):
    """A file, a folder, a parameter or a row that cannot be used as it is.

    The message names the thing, the value found, what was expected and what to do.
    """


class UnreadableFileError(InputError):
    """One file that cannot be used. `reason` is the message without the path, for reports."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NonFiniteLossError(InputError):
    """Training diverged, or a face spoils it. `rows`: of such faces, in the crops."""

    def __init__(self, loss: float, rows: list[int]) -> None:
        super().__init__(
            f"the loss is {loss}; expected a finite one: is the learning rate too high?"
        )
        self.rows = rows


class UnreadableImageError(UnreadableFileError):
    """An image that is missing, too large, cut off or no image at all."""

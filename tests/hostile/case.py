"""What a hostile case is: a small function that spoils something, and what has to become of it.

Three ends are allowed. `accepted`: it is read as if nothing were wrong. `row`: one row of a report
holds all of the words, and everything else is read. `error`: nothing sensible can follow; one line
on stderr holds all of the words, and the exit code is 1. `heavy` cases want gigabytes or hours from
a careless reader: they run in a process of their own, whose memory and time are limited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

Spoil = Callable[..., Any]


@dataclass(frozen=True)
class Expected:
    end: str  # accepted, row, error
    words: tuple[str, ...]
    heavy: bool


def accepted(make: Spoil) -> Spoil:
    return _marked(make, Expected("accepted", (), heavy=False))


def row(*words: str, heavy: bool = False) -> Callable[[Spoil], Spoil]:
    return lambda make: _marked(make, Expected("row", words, heavy))


def error(*words: str, heavy: bool = False) -> Callable[[Spoil], Spoil]:
    return lambda make: _marked(make, Expected("error", words, heavy))


def cases(module: ModuleType) -> list[Any]:
    """The module's cases as pytest parameters (make, expected), in the order of the file."""
    marked = [(name, make) for name, make in vars(module).items() if hasattr(make, "expected")]
    return [
        pytest.param(make, make.expected, id=f"{name}-heavy" if make.expected.heavy else name)
        for name, make in marked
    ]


def _marked(make: Any, expected: Expected) -> Any:
    make.expected = expected
    return make

"""What `hpe convert` does once its command line is read."""

from collections.abc import Iterable
from typing import TextIO

import numpy as np
import pandas as pd

from hpe_core.conventions import CONVENTIONS, Convention, convert
from hpe_core.errors import InputError, brief
from hpe_core.geometry import Array

_DECIMALS = 9


def convention(name: str) -> Convention:
    if name not in CONVENTIONS:
        raise InputError(f"no convention {name!r}; expected one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def numbers(words: list[str], source: Convention, target: Convention) -> list[float]:
    """One pose of the command line → the numbers of the other convention."""
    if len(words) != len(source.columns):
        raise InputError(f"{len(words)} numbers, expected {', '.join(source.columns)}")
    result: list[float] = _rounded(convert(_floats(words)[None], source, target))[0].tolist()
    return result


def table(stream: TextIO, source: Convention, target: Convention) -> pd.DataFrame:
    """A csv with the source's columns → the table with the target's in their place, as text.

    Raises InputError where a column is missing, stands there already, or holds something else than
    numbers.
    """
    try:
        rows = pd.read_csv(stream, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise InputError(f"stdin: cannot be read as csv: {error}") from None
    missing = [name for name in source.columns if name not in rows]
    if missing:
        raise InputError(f"stdin: no column {', '.join(missing)}; found {brief(list(rows))}")
    others = rows.drop(columns=list(source.columns))
    if taken := [name for name in target.columns if name in others]:
        raise InputError(f"stdin: has a column {', '.join(taken)} already")
    values = rows[list(source.columns)].to_numpy()
    poses = np.array([_floats(row, f"row {at}: ") for at, row in enumerate(values, start=1)])
    converted = _rounded(convert(poses.reshape(values.shape), source, target))
    at = list(rows).index(source.columns[0])
    before = sum(name in others for name in list(rows)[:at])
    result = pd.DataFrame(converted, columns=list(target.columns))
    return pd.concat([others.iloc[:, :before], result, others.iloc[:, before:]], axis=1)


def _floats(words: Iterable[str], where: str = "") -> Array:
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{where}expected numbers: {error}") from None


def _rounded(values: Array) -> Array:
    return values.round(_DECIMALS) + 0.0  # no -0.0

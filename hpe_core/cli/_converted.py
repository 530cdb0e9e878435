"""What `hpe convert` does once its command line is read."""

from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import typer

from hpe_core.conventions import CONVENTIONS, EULER_ORDERS, Convention, convert
from hpe_core.errors import InputError, brief
from hpe_core.geometry import Array

_DECIMALS = 9


def convention(name: str) -> Convention:
    """By its name, in any case where that leaves one: XYZ and xyz differ. Raises BadParameter."""
    if name in CONVENTIONS:
        return CONVENTIONS[name]
    alike = [own for own in CONVENTIONS if own.lower() == name.lower()]
    if len(alike) != 1:
        raise typer.BadParameter(f"no convention {name!r}; expected {_expected(alike)}.")
    return CONVENTIONS[alike[0]]


def _expected(alike: list[str]) -> str:
    named = [name for name in CONVENTIONS if name not in EULER_ORDERS]
    return " or ".join(alike) or f"{', '.join(named)}, or an order of Euler angles, such as XYZ"


def numbers(words: list[str], source: Convention, target: Convention) -> list[float]:
    """One pose of the command line → the numbers of the other convention.

    Raises BadParameter for other words, or more or fewer, InputError for what is no pose.
    """
    expected = f"expected {', '.join(source.columns)}"
    try:
        values = _floats(words)
    except InputError as error:
        hint = " A file? Use `< FILE`." if any(Path(word).is_file() for word in words) else ""
        raise typer.BadParameter(f"{error}; {expected}.{hint}") from None
    if len(values) != len(source.columns):
        raise typer.BadParameter(f"{len(values)} numbers; {expected}.")
    result: list[float] = _rounded(_converted(values[None], source, target))[0].tolist()
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
    converted = _rounded(_converted(poses.reshape(values.shape), source, target))
    at = list(rows).index(source.columns[0])
    before = sum(name in others for name in list(rows)[:at])
    result = pd.DataFrame(converted, columns=list(target.columns))
    return pd.concat([others.iloc[:, :before], result, others.iloc[:, before:]], axis=1)


def _converted(values: Array, source: Convention, target: Convention) -> Array:
    lengths = np.linalg.norm(values, axis=-1)
    if source is CONVENTIONS["quaternion"] and not lengths.all():
        raise InputError(f"row {lengths.argmin() + 1}: a quaternion of length 0; expected another")
    return convert(values, source, target)


def _floats(words: Iterable[str], where: str = "") -> Array:
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{where}expected numbers: {error}") from None


def _rounded(values: Array) -> Array:
    return values.round(_DECIMALS) + 0.0  # no -0.0

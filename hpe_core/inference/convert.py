"""`hpe convert`: a pose on the command line, or a table, in another convention."""

from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import typer

from hpe_core.common.errors import InputError, brief
from hpe_core.common.geometry import Array
from hpe_core.inference.conventions import CONVENTIONS, EULER_ORDERS, Convention, convert_poses


def convention_called(name: str) -> Convention:
    """The convention of this name; its case matters only for XYZ and xyz. Raises BadParameter."""
    if name in CONVENTIONS:
        return CONVENTIONS[name]
    alike = [own for own in CONVENTIONS if own.lower() == name.lower()]
    if len(alike) != 1:
        others = ", ".join(own for own in CONVENTIONS if own not in EULER_ORDERS)
        expected = " or ".join(alike) or f"{others}, or an order of Euler angles, such as XYZ"
        raise typer.BadParameter(f"no convention {name!r}; expected {expected}.")
    return CONVENTIONS[alike[0]]


def convert_words(words: list[str], source: Convention, target: Convention) -> list[float]:
    """The numbers of one pose on the command line → those of the other convention.

    Raises BadParameter for words that are no numbers and for a wrong count, InputError for what is
    no pose.
    """
    expected = f"expected {', '.join(source.columns)}"
    try:
        values = _floats(words)
    except InputError as error:
        is_file = any(Path(word).is_file() for word in words)
        hint = " If that is a file, use `< FILE`." if is_file else ""
        raise typer.BadParameter(f"{error}; {expected}.{hint}") from None
    if len(values) != len(source.columns):
        raise typer.BadParameter(f"{len(values)} numbers; {expected}.")
    result: list[float] = _convert(values[None], source, target)[0].tolist()
    return result


def convert_table(stream: TextIO, source: Convention, target: Convention) -> pd.DataFrame:
    """A csv with the source's columns → the table with the target's in their place.

    All other columns stay as they are, and rows whose source columns are all empty stay without a
    pose, as `hpe evaluate --out` writes them. Raises InputError where a source column is missing or
    is not numeric, and where the table already has a target column.
    """
    try:
        rows = pd.read_csv(stream, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise InputError(f"stdin: cannot be read as csv: {error}") from None
    if missing := [name for name in source.columns if name not in rows]:
        raise InputError(f"stdin: no column {', '.join(missing)}; found {brief(list(rows))}")
    others = rows.drop(columns=list(source.columns))
    if taken := [name for name in target.columns if name in others]:
        raise InputError(f"stdin: already has a column {', '.join(taken)}")
    values = rows[list(source.columns)].to_numpy()
    given = (values != "").any(axis=1)
    numbers = np.flatnonzero(given) + 1
    poses = [_floats(row, f"row {n}: ") for n, row in zip(numbers, values[given], strict=True)]
    converted = np.full((len(values), len(target.columns)), np.nan)
    rows_given = np.array(poses).reshape(-1, values.shape[1])
    converted[given] = _convert(rows_given, source, target, numbers.tolist())
    before = list(rows)[: list(rows).index(source.columns[0])]
    at = sum(name in others for name in before)
    result = pd.DataFrame(converted, columns=list(target.columns))
    return pd.concat([others.iloc[:, :at], result, others.iloc[:, at:]], axis=1)


def _convert(
    values: Array, source: Convention, target: Convention, rows: list[int] | None = None
) -> Array:
    return convert_poses(values, source, target, rows).round(9) + 0.0  # no -0.0


def _floats(words: Iterable[str], where: str = "") -> Array:
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{where}expected numbers: {error}") from None

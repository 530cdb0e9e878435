"""Tables as people read them: cells as text, and headings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hpe_core.paper_tables import INTERVAL

NOTHING = "–"


@dataclass(frozen=True)
class Readable:
    """A table's cells as text, which columns hold numbers, and which cells stand out."""

    text: pd.DataFrame
    numeric: Sequence[bool]
    best: pd.DataFrame

    @property
    def headings(self) -> list[str]:
        return [_heading(str(name)) for name in self.text]


def readable(table: pd.DataFrame, digits: int = 2, bold: Sequence[str] = ()) -> Readable:
    """Errors with `digits` decimals, gains as signed percentages.

    Empty cells become a dash, empty columns are left out. A column `x_std` is shown in column `x`,
    as "x ± x_std", a column `x_mark` directly behind it. In the columns of `bold` the smallest
    value of each test set stands out.
    """
    table = table.reset_index(drop=True)
    table = table[
        [
            name
            for name in table
            if not (table[name].isna() | (table[name].astype("str") == "")).all()
        ]
    ]
    text = pd.DataFrame({name: _texts(table[name], digits) for name in table})
    spreads = [str(name) for name in table if str(name).endswith("_std")]
    for spread in spreads:
        name, measured = spread.removesuffix("_std"), table[spread].notna()
        text[name] = text[name].where(~measured, text[name] + " ± " + text[spread])
    marks = [str(name) for name in table if str(name).endswith("_mark")]
    for mark in marks:
        text[mark.removesuffix("_mark")] += text[mark]
    table, text = (each.drop(columns=[*spreads, *marks]) for each in (table, text))
    best = pd.DataFrame(False, index=text.index, columns=text.columns)
    for name in set(bold) & set(table):
        rounded = table[name].round(digits)
        best[name] = (rounded == rounded.groupby(table["test"]).transform("min")).to_numpy()
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
    return Readable(text, numeric, best)


def markdown(
    table: pd.DataFrame, digits: int = 2, once: Sequence[str] = (), bold: Sequence[str] = ()
) -> str:
    """`readable` as Markdown. Columns in `once` show a value only where it changes."""
    shown = readable(table, digits, bold)
    text = shown.text.where(~shown.best, "**" + shown.text + "**")
    for name in once:
        text[name] = text[name].where(text[name] != text[name].shift(), "")
    return text.set_axis(shown.headings, axis=1).to_markdown(
        index=False,
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in shown.numeric],
    )


def _texts(column: "pd.Series[Any]", digits: int) -> list[str]:
    percent = str(column.name).endswith("gain")
    form = "{:+.1f} %" if percent else f"{{:.{digits}f}}"
    return [
        NOTHING if pd.isna(v) else form.format(v) if isinstance(v, float) else str(v)
        for v in column
    ]


def _heading(name: str) -> str:
    name = name.replace("avg", "MAE").replace("_", " ")
    name = name.replace("K d", "K, d").replace("d S", "d, S")
    return name.replace("interval", INTERVAL)

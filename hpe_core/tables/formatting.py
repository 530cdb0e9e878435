"""Tables for readers: cells and headings as text, for Markdown and for the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hpe_core.tables.results import INTERVAL

ABSENT = "–"


@dataclass(frozen=True)
class Readable:
    """A table's cells and headings as text; which columns are numbers; which cells are bold."""

    text: pd.DataFrame
    numeric: Sequence[bool]
    best: pd.DataFrame

    @classmethod
    def of(cls, table: pd.DataFrame, digits: int = 2, bold: Sequence[str] = ()) -> "Readable":
        """Errors with `digits` decimals, gains as signed percentages.

        Empty cells become a dash, empty columns are left out. A column `x_std` is shown in column
        `x`, as "x ± x_std", a column `x_mark` directly behind it. In the columns of `bold` the
        smallest value per test set is bold.
        """
        table = table.reset_index(drop=True)
        empty = (table.isna() | (table.astype("str") == "")).all()
        table = table.loc[:, ~empty]
        text = table.apply(lambda column: _texts(column, digits))
        spreads = [name for name in table if str(name).endswith("_std")]
        for spread in spreads:
            name, measured = str(spread).removesuffix("_std"), table[spread].notna()
            text[name] = text[name].where(~measured, text[name] + " ± " + text[spread])
        marks = [name for name in table if str(name).endswith("_mark")]
        for mark in marks:
            text[str(mark).removesuffix("_mark")] += text[mark]
        table, text = (each.drop(columns=[*spreads, *marks]) for each in (table, text))
        best = pd.DataFrame(False, index=text.index, columns=text.columns)
        for name in set(bold) & set(table):
            rounded = table[name].round(digits)
            best[name] = (rounded == rounded.groupby(table["test"]).transform("min")).to_numpy()
        numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
        text, best = (each.rename(columns=_heading) for each in (text, best))
        return cls(text, numeric, best)

    def rows(self) -> Iterator[list[tuple[str, bool]]]:
        """Rows of cells: the text of each, and whether it is bold."""
        pairs = zip(self.text.to_numpy(), self.best.to_numpy(), strict=True)
        return (list(zip(text, best.tolist(), strict=True)) for text, best in pairs)

    def markdown(self, once: Sequence[str] = ()) -> str:
        """Columns in `once` show a value only where it changes."""
        text = self.text.where(~self.best, "**" + self.text + "**")
        for name in once:
            text[name] = text[name].where(text[name] != text[name].shift(), "")
        return text.to_markdown(
            index=False,
            disable_numparse=True,
            colalign=["right" if numeric else "left" for numeric in self.numeric],
        )


def markdown(table: pd.DataFrame, digits: int = 2, once: Sequence[str] = ()) -> str:
    """A readable table; once: as for `Readable.markdown`."""
    return Readable.of(table, digits).markdown(once)


def _texts(column: "pd.Series[Any]", digits: int) -> "pd.Series[str]":
    percent = str(column.name).endswith("gain")
    form = "{:+.1f} %" if percent else f"{{:.{digits}f}}"
    texts = [
        ABSENT if pd.isna(v) else form.format(v) if isinstance(v, float) else str(v) for v in column
    ]
    return pd.Series(texts, index=column.index, dtype=object)


def _heading(name: object) -> str:
    words = str(name).replace("avg", "MAE").replace("_", " ")
    words = words.replace("K d", "K, d").replace("d S", "d, S")
    return words.replace("interval", INTERVAL)

"""What a page consists of: sections of paragraphs, tables, charts, faces and code.

Plain data; `io.page_file` makes HTML of it. All text is text: nothing in it is read as HTML.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.charts import Chart
from hpe_core.readable import NOTHING, readable


@dataclass(frozen=True)
class Text:
    """One paragraph. lead: what it is about, where it is one of several."""

    text: str
    lead: str = ""
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Code:
    """Text as it stands, in a box of its own, below its title."""

    title: str
    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Table:
    """title, note: above it; headings, and rows of as many cells.

    numeric: which columns are set right, and sorted as numbers; best: cells that stand out, as
    (row, column); folded: only its title shows until it is asked for.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    best: frozenset[tuple[int, int]] = frozenset()
    note: str = ""
    folded: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Charts:
    """Charts side by side, and what their colours mean: name → colour."""

    charts: Sequence[Chart]
    legend: Mapping[str, str]
    kind: ClassVar[str] = "charts"


@dataclass(frozen=True)
class Picture:
    """image (side x side x 3) uint8 RGB; alt: what it shows, for those who do not see it."""

    image: NDArray[np.uint8]
    alt: str
    caption: str


@dataclass(frozen=True)
class Card:
    """One face: its name, pictures side by side, lines below, and charts of it."""

    title: str
    pictures: Sequence[Picture]
    lines: Sequence[str]
    charts: Sequence[Chart] = ()


@dataclass(frozen=True)
class Cards:
    """Faces under one heading."""

    title: str
    cards: Sequence[Card]
    kind: ClassVar[str] = "cards"


Block = Text | Code | Table | Charts | Cards


@dataclass(frozen=True)
class Section:
    """key: its address on the page."""

    key: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    title: str
    subtitle: str
    sections: Sequence[Section]


def table_of(
    table: pd.DataFrame,
    title: str,
    digits: int = 2,
    bold: Sequence[str] = (),
    note: str = "",
    folded: bool = False,
) -> Table:
    """A table as `readable` shows it; every row is whole, so that rows can be sorted."""
    shown = readable(table, digits, bold)
    best = zip(*np.nonzero(shown.best.to_numpy()), strict=True)
    return Table(
        title,
        shown.headings,
        shown.text.to_numpy().tolist(),
        list(shown.numeric),
        frozenset((int(row), int(column)) for row, column in best),
        note,
        folded,
    )


def plain_table(title: str, rows: Sequence[Mapping[str, Any]], note: str = "") -> Table:
    """Rows of equal keys, which are the headings; text, numbers, and NOTHING for neither."""
    headings = list(rows[0]) if rows else []
    numeric = [_is_numeric([row[name] for row in rows]) for name in headings]
    cells = [[_cell(row[name]) for name in headings] for row in rows]
    return Table(title, headings, cells, numeric, note=note)


def _is_numeric(column: Sequence[Any]) -> bool:
    known = [value for value in column if value != NOTHING]
    return bool(known) and all(isinstance(value, int | float) for value in known)


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)

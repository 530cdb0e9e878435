"""Writes rows as they come, to a file or a stream: csv, json (one array) or parquet."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TextIO

from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic

Format = Literal["csv", "json", "parquet"]
OutputRow = Mapping[str, str | int | float]


def write_rows(
    rows: Iterable[OutputRow], columns: Mapping[str, str], form: Format, out: Path | TextIO
) -> None:
    """columns: name → pandas' type; every row has them, and they are written in this order.

    out: a file, written whole or not at all; or a stream, which gets each row as it comes, but no
    parquet (InputError).
    """
    if form == "parquet":
        if not isinstance(out, Path):
            raise InputError("parquet cannot go to a stream: name a file")
        try:  # csv and json need neither pandas nor pyarrow
            import pandas as pd

            from hpe_core.common.table_files import write_table
        except ModuleNotFoundError as error:
            raise InputError(
                f"{out}: parquet needs {error.name}: install the extra `pipeline`, or name a .csv"
            ) from None
        write_table(pd.DataFrame(list(rows), columns=list(columns)).astype(dict(columns)), out)
    elif isinstance(out, Path):
        with atomic(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            _stream(rows, columns, form, file)
    else:
        _stream(rows, columns, form, out)


def _stream(
    rows: Iterable[OutputRow], columns: Iterable[str], form: Format, stream: TextIO
) -> None:
    if form == "json":
        before = "[\n"
        for row in rows:
            stream.write(before + json.dumps({name: row[name] for name in columns}))
            stream.flush()
            before = ",\n"
        stream.write("\n]\n" if before == ",\n" else "[]\n")
    else:
        writer = csv.DictWriter(stream, list(columns), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            stream.flush()

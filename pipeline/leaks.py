"""Looks for photographs and subjects in both the training set and a test set of a protocol.

    face tables → how many there are, which they are, a file that says they were looked for

Validation faces count as training faces: settings are chosen on them. With `leaks.strict` anything
shared is an error. Training waits for the last file; it is always the same, so a changed test set
trains nothing again.
"""

import argparse
from pathlib import Path

from hpe_core.errors import InputError
from hpe_core.io.files import atomic, write_json
from hpe_core.io.tables import write_csv
from hpe_core.leaks import count_shared, find_shared, in_words, shared_table
from hpe_core.params.loading import load, load_item
from hpe_core.params.protocols import Leaks, Protocol, Test
from pipeline._cli import run
from pipeline._selection import select_faces


def main(
    *, params: Path, protocol: str, faces: Path, report: Path, shared: Path, checked: Path
) -> None:
    strict = load(params, "leaks", Leaks).strict
    item = load_item(params, "protocols", protocol, Protocol)
    training = select_faces(faces / f"{item.train}.parquet", item.where)
    found = {
        name: find_shared(training, select_faces(faces / f"{test.dataset}.parquet", test.where))
        for name, test in load(params, "tests", dict[str, Test]).items()
        if test.protocol == protocol
    }
    counts = {
        name: {kind: count_shared(table) for kind, table in kinds.items()}
        for name, kinds in found.items()
    }
    table = shared_table(found)
    write_json(counts, report)
    write_csv(table, shared)
    words = in_words(table)
    if strict and words:
        raise InputError(
            f"protocol {protocol}: found in training and test set: {words}; expected nothing, as "
            f"leaks.strict is true. {shared} lists all. Leave them out by `where` of "
            f"protocols.{protocol} or the test, by filter.strict_split (further faces on AFLW's "
            "test photographs), or by removing copies; or set leaks.strict to false"
        )
    with atomic(checked) as temporary:
        temporary.write_text("photographs and subjects were compared\n")
    unknown = [name for name, kinds in found.items() if kinds["subject"] is None]
    print(
        f"{protocol}: found in training and test set: {words or 'nothing'}; subjects are not known "
        f"of: {', '.join(unknown) or 'none'}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--faces", type=Path, required=True, help="folder of the face tables")
    parser.add_argument("--report", type=Path, required=True, help="to write: counts")
    parser.add_argument("--shared", type=Path, required=True, help="to write: one row each")
    parser.add_argument("--checked", type=Path, required=True)
    run(main, parser)

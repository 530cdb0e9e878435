"""Looks for photographs and subjects that a protocol's training set shares with its test sets.

    face tables → numbers of shared ones, their list, a mark that training depends on

Validation faces count as training faces: settings are chosen on them. With `leaks.strict` anything
shared is an error. The mark never changes, so a changed test set does not re-run training.
"""

from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic, write_json
from hpe_core.common.settings import load, load_item
from hpe_core.common.stage import run
from hpe_core.common.table_files import write_csv
from hpe_core.corpora.leaks import count_shared, find_shared, in_words, shared_table
from hpe_core.corpora.selection import select_faces, select_training
from hpe_core.corpora.settings import Leaks, Protocol, Test


def main(
    *, params: Path, protocol: str, faces: Path, report: Path, shared: Path, checked: Path
) -> None:
    strict = load(params, "leaks", Leaks).strict
    item = load_item(params, "protocols", protocol, Protocol)
    training = select_training(faces, item)
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
            f"protocol {protocol}: training and test sets share: {words}; expected nothing, as "
            f"leaks.strict is true. {shared} lists all. Exclude them by protocols.{protocol}.train "
            "or the test's where, by filter.strict_split (other faces in AFLW's test photographs), "
            "or by removing copies; or set leaks.strict to false"
        )
    with atomic(checked) as temporary:
        temporary.write_text("photographs and subjects were compared\n")
    unknown = [name for name, kinds in found.items() if kinds["subject"] is None]
    print(
        f"{protocol}: training and test sets share: {words or 'nothing'}; tests without known "
        f"subjects: {', '.join(unknown) or 'none'}"
    )


if __name__ == "__main__":
    run(main)

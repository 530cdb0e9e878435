"""Photographs and subjects that are in both the training set and a test set of a protocol.

Two photographs are the same if their files have the same bytes. This finds copies under another
name, but not resized or re-encoded ones. Two subjects are the same if they have the same name in
the same corpus; names in different corpora are unrelated.
"""

from collections.abc import Mapping

import pandas as pd

Shared = Mapping[str, pd.DataFrame | None]  # kind → what is shared; None: unknown

FACE_COUNTS = ["training_faces", "test_faces"]
SHARED_COLUMNS = ["training_name", "test_name", *FACE_COUNTS]
EXAMPLES = 3  # names in a message


def find_shared(training: pd.DataFrame, test: pd.DataFrame) -> Shared:
    """The photographs and subjects that two face tables share, by kind: "photograph", "subject".

    One row per shared item, SHARED_COLUMNS, sorted: its name in each table (for a photograph the
    path of its first copy) and its number of faces in each. None: unknown.
    """
    return {
        "photograph": _in_both(training, test, "image_sha256", "image"),
        "subject": _shared_subjects(training, test),
    }


def count_shared(shared: pd.DataFrame | None) -> dict[str, int] | None:
    """Number of shared items and of their faces in each set. None for None (unknown)."""
    if shared is None:
        return None
    return {"shared": len(shared), **{name: int(shared[name].sum()) for name in FACE_COUNTS}}


def shared_table(found: Mapping[str, Shared]) -> pd.DataFrame:
    """`find_shared` of every test set as one table; the first columns are `test` and `kind`."""
    parts = [
        table.assign(test=test, kind=kind)
        for test, shared in found.items()
        for kind, table in shared.items()
        if table is not None
    ]
    none = pd.DataFrame(columns=["test", "kind", *SHARED_COLUMNS])
    return pd.concat([none, *parts], ignore_index=True)


def in_words(table: pd.DataFrame) -> str:
    """A `shared_table`: “p3-BIWI: 2 subjects (F02, F03; 80 training faces, 40 test faces); …”."""
    return "; ".join(
        f"{test}: {len(shared)} {kind}{'s' if len(shared) > 1 else ''} "
        f"({', '.join(shared['training_name'].head(EXAMPLES))}"
        f"{', …' if len(shared) > EXAMPLES else ''}; {shared['training_faces'].sum()} training "
        f"faces, {shared['test_faces'].sum()} test faces)"
        for (test, kind), shared in table.groupby(["test", "kind"], sort=False)
    )


def _shared_subjects(training: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame | None:
    """Of the training faces of the test's own corpus: elsewhere, a name is somebody else's.

    None if there are none, or if no name is shared but some faces have no name.
    """
    same = training[training["dataset"].isin(test["dataset"])]
    if same.empty:
        return None
    named = [side[side["subject"] != ""] for side in (same, test)]
    shared = _in_both(named[0], named[1], "subject", "subject")
    all_named = sum(map(len, named)) == len(same) + len(test)
    return shared if all_named or len(shared) else None


def _in_both(training: pd.DataFrame, test: pd.DataFrame, key: str, name: str) -> pd.DataFrame:
    of_training = training.groupby(key)[name].agg(training_name="min", training_faces="size")
    of_test = test.groupby(key)[name].agg(test_name="min", test_faces="size")
    both = of_training.join(of_test, how="inner")[SHARED_COLUMNS]
    return both.sort_values(SHARED_COLUMNS, ignore_index=True)

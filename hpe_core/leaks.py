"""What stands in both the training set and a test set of a protocol.

Photographs are the same if the bytes of their files are: a copy under another name is found, one
that was resized or encoded again is not. Subjects are the same if their names are, within one
corpus: names of different corpora say nothing about each other.
"""

from collections.abc import Mapping

import pandas as pd

Shared = Mapping[str, pd.DataFrame | None]  # kind → what is shared; None: not known

FACES = ["training_faces", "test_faces"]
COLUMNS = ["training_name", "test_name", *FACES]
EXAMPLES = 3  # names in a message


def find_shared(training: pd.DataFrame, test: pd.DataFrame) -> Shared:
    """The kinds "photograph" and "subject", each with what both tables (face tables) show.

    One row each, COLUMNS, sorted: its name in each table (of a photograph the path in the corpus,
    the first of several copies) and how many faces it has there. None: not known.
    """
    return {
        "photograph": _in_both(training, test, "image_sha256", "image"),
        "subject": _shared_subjects(training, test),
    }


def count_shared(shared: pd.DataFrame | None) -> dict[str, int] | None:
    """How many there are (`shared`), and how many faces of each set they have. None of None."""
    if shared is None:
        return None
    return {"shared": len(shared), **{name: int(shared[name].sum()) for name in FACES}}


def shared_table(found: Mapping[str, Shared]) -> pd.DataFrame:
    """`find_shared` of every test set as one table, with the columns `test` and `kind` in front."""
    parts = [
        table.assign(test=test, kind=kind)
        for test, shared in found.items()
        for kind, table in shared.items()
        if table is not None
    ]
    none = pd.DataFrame(columns=["test", "kind", *COLUMNS])
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
    """None for different corpora, and for no common name where some faces have none at all."""
    if set(training["dataset"]) != set(test["dataset"]):
        return None
    named = [side[side["subject"] != ""] for side in (training, test)]
    shared = _in_both(named[0], named[1], "subject", "subject")
    all_named = sum(map(len, named)) == len(training) + len(test)
    return shared if all_named or len(shared) else None


def _in_both(training: pd.DataFrame, test: pd.DataFrame, key: str, name: str) -> pd.DataFrame:
    of_training = training.groupby(key)[name].agg(training_name="min", training_faces="size")
    of_test = test.groupby(key)[name].agg(test_name="min", test_faces="size")
    both = of_training.join(of_test, how="inner")[COLUMNS]
    return both.sort_values(COLUMNS, ignore_index=True)

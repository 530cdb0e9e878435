"""Any corpus → a table of faces and a list of skipped files.

No other room knows of .mat files, sqlite or pose.txt. params.yaml names a reader per corpus, so
another corpus in one of these layouts needs no code. A new layout needs a module here with a reader
and its `Layout`, its name in names.py and its entry below; if its poses have a new convention, also
a function in labels.py.
"""

from collections.abc import Mapping
from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.corpora.aflw import AFLW
from hpe_core.corpora.biwi import BIWI
from hpe_core.corpora.entries import Corpus, Layout, to_corpus, with_sha256
from hpe_core.corpora.landmarked import AFLW2000, W300_LP
from hpe_core.corpora.names import ReaderName
from hpe_core.corpora.own_corpus import OWN_CORPUS

LAYOUTS: Mapping[ReaderName, Layout] = {
    "300W_LP": W300_LP,
    "AFLW2000": AFLW2000,
    "AFLW": AFLW,
    "BIWI": BIWI,
    "table": OWN_CORPUS,
}


def read_corpus(reader: ReaderName, folder: Path, dataset: str = "") -> Corpus:
    """Every annotated face below `folder`, sorted by name (those of a table: by row).

    dataset: the name of the corpus, with which each face_id starts (default: the reader's). Files
    that cannot be read, missing twins and impossible poses are rows of `skipped`. Raises InputError
    for a corpus that is missing, or of which no face can be read.
    """
    name = dataset or reader
    entries = with_sha256(LAYOUTS[reader].entries(folder), folder, f"{name}, sha256")
    corpus = to_corpus(entries, name)
    if corpus.faces.empty:
        first = corpus.skipped.iloc[0]
        raise InputError(
            f"{folder}: none of {len(corpus.skipped)} faces can be read as {reader}; "
            f"the first is {first['file']}: {first['reason']}"
        )
    return corpus

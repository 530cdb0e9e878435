"""Any corpus, as its owners ship it or as one's own table → a table of faces, a list of the lost.

Nothing behind this module knows .mat files, sqlite or pose.txt. params.yaml names a reader for each
corpus, so that a further corpus in one of these layouts needs no code.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from hpe_core.errors import InputError
from hpe_core.io.readers.aflw import read_aflw
from hpe_core.io.readers.biwi import read_biwi
from hpe_core.io.readers.common import Corpus, Entry, to_corpus, with_sha256
from hpe_core.io.readers.landmarked import read_300w_lp, read_aflw2000
from hpe_core.io.readers.table import read_own

__all__ = ["READERS", "Corpus", "read_corpus"]

READERS: Mapping[str, Callable[[Path], list[Entry]]] = {
    "300W_LP": read_300w_lp,
    "AFLW2000": read_aflw2000,
    "AFLW": read_aflw,
    "BIWI": read_biwi,
    "table": read_own,
}


def read_corpus(reader: str, folder: Path, dataset: str = "") -> Corpus:
    """Every annotated face below `folder`, in an order that depends on nothing but their names
    (reader "table": on the order of its rows).

    reader: a key of READERS; dataset: the corpus's own name, which starts each face_id (default:
    the reader's). A file that can't be read, a missing twin and a pose that is none are rows of
    `skipped`. Raises InputError for an unknown reader and for a corpus that isn't there or of
    which no face is left.
    """
    if reader not in READERS:
        raise InputError(f"no reader {reader!r}, expected one of {list(READERS)}")
    name = dataset or reader
    entries = with_sha256(READERS[reader](folder), folder, f"{name}, sha256")
    corpus = to_corpus(entries, name)
    if corpus.faces.empty:
        first = corpus.skipped.iloc[0]
        raise InputError(
            f"{folder}: none of {len(corpus.skipped)} faces can be read as {reader}; "
            f"the first is {first['file']}: {first['reason']}"
        )
    return corpus

"""Stage `index`: one corpus, whatever its layout → a table of faces, a list of what is lost."""

import argparse
from pathlib import Path

from hpe_core.io.annotations import READERS, read_corpus
from hpe_core.io.files import atomic
from hpe_core.io.tables import write_table
from pipeline._cli import run


def main(*, dataset: str, reader: str, folder: Path, index: Path, skipped: Path) -> None:
    corpus = read_corpus(reader, folder, dataset)
    write_table(corpus.faces, index)
    with atomic(skipped) as temporary:
        corpus.skipped.to_csv(temporary, index=False, lineterminator="\n")
    images = corpus.faces["image"].nunique()
    lost = len(corpus.skipped)
    print(f"{dataset}: {len(corpus.faces)} faces in {images} images, {lost} skipped ({skipped})")


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dataset", required=True, help="the corpus's name; starts each face_id")
    options.add_argument("--reader", required=True, choices=READERS, help="the corpus's layout")
    options.add_argument("--folder", type=Path, required=True, help="where the corpus lies")
    options.add_argument("--index", type=Path, required=True, help="to write: table of faces")
    options.add_argument("--skipped", type=Path, required=True, help="to write: file, reason")
    return options


if __name__ == "__main__":
    run(main, parser())

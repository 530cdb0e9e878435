"""Indexes one corpus in its official layout: images, labels → face table, skipped files."""

from pathlib import Path

from hpe_core.common.stage import run
from hpe_core.common.table_files import write_csv, write_table
from hpe_core.corpora.names import ReaderName
from hpe_core.corpora.readers import read_corpus


def main(*, dataset: str, reader: ReaderName, folder: Path, index: Path, skipped: Path) -> None:
    corpus = read_corpus(reader, folder, dataset)
    write_table(corpus.faces, index)
    write_csv(corpus.skipped, skipped)
    images = corpus.faces["image"].nunique()
    lost = len(corpus.skipped)
    print(f"{dataset}: {len(corpus.faces)} faces in {images} images, {lost} skipped ({skipped})")


if __name__ == "__main__":
    run(main)

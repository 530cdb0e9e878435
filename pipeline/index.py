"""Indexes one corpus in its official layout: images, labels → face table, skipped files."""

from pathlib import Path

from hpe_core.common.stage import run
from hpe_core.common.table_files import write_csv, write_table
from hpe_core.corpora.names import ReaderName
from hpe_core.corpora.readers import read_corpus
from hpe_core.faces.images import count_oriented


def main(*, dataset: str, reader: ReaderName, folder: Path, index: Path, skipped: Path) -> None:
    corpus = read_corpus(reader, folder, dataset)
    write_table(corpus.faces, index)
    write_csv(corpus.skipped, skipped)
    images = corpus.faces["image"].unique()
    lost = len(corpus.skipped)
    print(
        f"{dataset}: {len(corpus.faces)} faces in {len(images)} images, {lost} skipped ({skipped})"
    )
    if oriented := count_oriented(folder, images):
        done = "applied" if reader == "table" else "ignored, as published labels mean stored pixels"
        print(f"{dataset}: {oriented} images have an EXIF orientation, which is {done}")


if __name__ == "__main__":
    run(main)

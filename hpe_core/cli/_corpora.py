"""What `hpe data` looks for: the corpora of a params file, and its boxes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpe_core.errors import InputError
from hpe_core.io.annotations import READERS
from hpe_core.io.readers import aflw, biwi, landmarked, table
from hpe_core.io.readers.common import Face
from hpe_core.params.faces import Boxes
from hpe_core.params.loading import Name, load
from hpe_core.params.protocols import Data, Dataset


@dataclass(frozen=True)
class Published:
    """A corpus as its owners publish it. faces: before any filter; 0 of one's own."""

    faces: int
    layout: str
    source: str


# Counts: data/published/counts.csv and its notes. Of BIWI, all but 01/frame_00003 are used.
PUBLISHED = {
    "300W_LP": Published(
        122_450, "{AFW,HELEN,IBUG,LFPW}{,_Flip}/NAME.jpg + NAME.mat", landmarked.SOURCE
    ),
    "AFLW2000": Published(2_000, "imageNNNNN.jpg + imageNNNNN.mat", landmarked.SOURCE),
    "AFLW": Published(24_383, "aflw.sqlite, data/flickr/{0,2,3}/imageNNNNN.{jpg,png}", aflw.SOURCE),
    "BIWI": Published(15_678, "hpdb/NN/frame_NNNNN_rgb.png + frame_NNNNN_pose.txt", biwi.SOURCE),
    "table": Published(0, "faces.csv or faces.parquet, and the images it names", table.SOURCE),
}


@dataclass(frozen=True)
class Found:
    """An input of the pipeline. `found`: what there is, or the error that says what is not."""

    name: str
    state: Literal["found", "missing"]
    path: str
    layout: str
    found: str
    faces: int = 0
    skipped: int = 0
    published_faces: int = 0
    source: str = ""


def inputs(params: Path) -> Iterator[Found]:
    """Each corpus of the params file as it is read, then its boxes. Its errors are InputErrors."""
    root = Path(load(params, "data", Data).root)
    datasets = load(params, "datasets", dict[Name, Dataset])
    settings = load(params, "boxes", Boxes)
    for name, dataset in datasets.items():
        yield _corpus(name, dataset.reader, root / name)
    yield _boxes(settings)


def _boxes(settings: Boxes) -> Found:
    """The detector, or the published boxes."""
    path = Path(settings.path)
    published = settings.source == "published"
    layout = "folder of the published .json files" if published else "YOLOv5 export, .onnx"
    there = path.is_dir() if published else path.is_file()
    return Found(
        "boxes",
        "found" if there else "missing",
        settings.path,
        layout,
        "is there" if there else "does not exist: see the README, and set boxes.path",
    )


def text(found: Found) -> str:
    """For humans: a line of what was found, and indented ones of what was expected."""
    lines = [
        f"{found.name}: {found.state}: {' '.join(found.found.split())}",
        f"expected  {found.path}: {found.layout}",
    ]
    if found.published_faces:
        lines.append(f"published {found.published_faces:,} faces. {found.source}")
    return "\n    ".join(lines)


def _corpus(name: str, reader: str, folder: Path) -> Found:
    published = PUBLISHED[reader]
    faces = skipped = 0
    try:
        entries = READERS[reader](folder)
        faces = sum(isinstance(entry, Face) for entry in entries)
        skipped = len(entries) - faces
        found = f"{faces:,} faces, {skipped:,} that cannot be read"
    except InputError as error:
        found = str(error)
    return Found(
        name,
        "found" if faces else "missing",
        str(folder),
        published.layout,
        found,
        faces,
        skipped,
        published.faces,
        published.source,
    )

"""What `hpe data` looks for: the corpora of a params file, and its boxes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
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


DEMO = "data/demo/corpora"  # the folder of the drawn corpora
SIGNS = {  # of a layout: a name that is in its folder
    "300W_LP": "[AHIL]*/*_*.mat",
    "AFLW2000": "image*.mat",
    "AFLW": "aflw.sqlite",
    "BIWI": "hpdb",
    "table": "faces.[cp]*",
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
        "is there" if there else "does not exist: see docs/real-corpora.md, and set boxes.path",
    )


def text(found: Found) -> str:
    """For humans: a line of what was found, and indented ones of what was expected."""
    lines = [
        f"{found.name}: {found.state}: {' '.join(found.found.split())}",
        f"    expected  {found.path}: {found.layout}",
    ]
    if found.published_faces:
        lines.append(f"    published {found.published_faces:,} faces. {found.source}")
    elif found.source and found.state == "missing":
        lines.append(f"    {found.source}")
    return "\n".join(map(_wrapped, lines))


def looks_like(folder: Path) -> str | None:
    """The reader whose layout a folder seems to have, by the names in it."""
    return next((name for name, sign in SIGNS.items() if any(folder.glob(sign))), None)


def without_advice(message: str) -> str:
    """A reader's message without what it advises those who run the pipeline."""
    return message.partition(" Lay it out as the README says")[0]


def _wrapped(line: str) -> str:
    indent = " " * (14 if line.startswith(" ") else 4)
    return "\n".join(
        wrap(line, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    )


def _why_missing(message: str, folder: Path, published: Published) -> str:
    if folder.parent.as_posix().endswith(DEMO) and not folder.exists():
        return "not drawn yet: `make demo`"
    found = without_advice(message)
    if found == message:  # it is there, and something else is wrong
        return message
    found = found.removesuffix(published.source).rstrip()  # which is said once, beside the count
    return f"{found} See docs/real-corpora.md." if published.faces else found


def _corpus(name: str, reader: str, folder: Path) -> Found:
    published = PUBLISHED[reader]
    faces = skipped = 0
    try:
        entries = READERS[reader](folder)
        faces = sum(isinstance(entry, Face) for entry in entries)
        skipped = len(entries) - faces
        found = f"{faces:,} faces, {skipped:,} that cannot be read"
    except InputError as error:
        found = _why_missing(str(error), folder, published)
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

"""What `hpe data` lists: the corpora that a params file names, and its detector or boxes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Literal

from hpe_core.common.errors import InputError
from hpe_core.common.settings import Name, load
from hpe_core.corpora.entries import Face, MissingCorpusError
from hpe_core.corpora.names import ReaderName
from hpe_core.corpora.readers import LAYOUTS
from hpe_core.corpora.settings import Data, Dataset
from hpe_core.faces.settings import BoxRules

DEMO = "data/demo/corpora"  # the folder of the rendered corpora


@dataclass(frozen=True)
class Input:
    """An input of the pipeline. `found`: what is there, or why it cannot be used."""

    name: str
    state: Literal["found", "missing"]
    path: str
    layout: str
    found: str
    faces: int = 0
    skipped: int = 0
    published_faces: int = 0
    source: str = ""


def find_inputs(params: Path) -> Iterator[Input]:
    """Each corpus of the params file, then its boxes. Raises InputError for a wrong params file."""
    root = Path(load(params, "data", Data).root)
    datasets = load(params, "datasets", dict[Name, Dataset])
    settings = load(params, "boxes", BoxRules)
    for name, dataset in datasets.items():
        yield _corpus(name, dataset.reader, root / name)
    yield _boxes(settings)


def _boxes(settings: BoxRules) -> Input:
    """The detector, or the published boxes."""
    path = Path(settings.path)
    published = settings.source == "published"
    layout = "folder of the published .json files" if published else "YOLOv5 export, .onnx"
    there = path.is_dir() if published else path.is_file()
    return Input(
        "boxes",
        "found" if there else "missing",
        settings.path,
        layout,
        "is there" if there else "does not exist: see docs/real-corpora.md, and set boxes.path",
    )


def describe_input(found: Input) -> str:
    """For humans: one line for what was found, then indented lines for what was expected."""
    lines = [
        f"{found.name}: {found.state}: {' '.join(found.found.split())}",
        f"    expected  {found.path}: {found.layout}",
    ]
    if found.published_faces:
        lines.append(f"    published {found.published_faces:,} faces. {found.source}")
    elif found.source and found.state == "missing":
        lines.append(f"    {found.source}")
    return "\n".join(map(_wrapped, lines))


def looks_like(folder: Path) -> ReaderName | None:
    """The reader whose layout the names in a folder match, None if none does."""
    return next((name for name, own in LAYOUTS.items() if any(folder.glob(own.sign))), None)


def _wrapped(line: str) -> str:
    indent = " " * (14 if line.startswith(" ") else 4)
    return "\n".join(
        wrap(line, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    )


def _why_missing(error: MissingCorpusError, folder: Path) -> str:
    if folder.parent.as_posix().endswith(DEMO) and not folder.exists():
        return "not rendered yet: `make demo`"
    return f"{error.reason} See docs/real-corpora.md." if error.layout.faces else error.reason


def _corpus(name: str, reader: ReaderName, folder: Path) -> Input:
    layout = LAYOUTS[reader]
    faces = skipped = 0
    try:
        entries = layout.entries(folder)
        faces = sum(isinstance(entry, Face) for entry in entries)
        skipped = len(entries) - faces
        found = f"{faces:,} faces, {skipped:,} that cannot be read"
    except MissingCorpusError as error:
        found = _why_missing(error, folder)
    except InputError as error:
        found = str(error)
    return Input(
        name,
        "found" if faces else "missing",
        str(folder),
        layout.files,
        found,
        faces,
        skipped,
        published_faces=layout.faces,
        source=layout.source,
    )

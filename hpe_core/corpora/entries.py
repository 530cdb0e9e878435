"""What all readers share: each entry is kept, or skipped with a reason; none stops the reading.

A reader turns the folder of a corpus into entries; its `Layout` describes the files there.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from hpe_core.common.errors import InputError, UnreadableFileError
from hpe_core.common.files import printable, sha256
from hpe_core.common.geometry import pyr_from_yxz
from hpe_core.common.table_files import (
    AFLW_ORDER,
    ANNOTATED_BOX,
    INDEX_COLUMNS,
    OUR_ORDER,
    PUBLISHED_PYR,
    PYR,
)

SKIPPED_COLUMNS = ["file", "reason"]
MAX_ABS_DEG = 1440.0  # AFLW has angles beyond 360°; beyond four full turns a label is damaged
THREADS = 8  # files are small: most of the time is spent waiting for the disk
NO_BOX = (np.nan,) * 4


@dataclass(frozen=True)
class Face:
    """One annotated face. Paths are relative to the corpus folder, with forward slashes.

    published_deg (3): pitch, yaw, roll with our signs, angles of a rotation in `order`.
    """

    name: str  # unique in the corpus; face_id is dataset/name
    image: str
    published_deg: NDArray[np.float64]
    bbox_xyxy: Sequence[float] = NO_BOX
    subject: str = ""
    video: str = ""
    split: str = ""  # the corpus's own
    image_sha256: str = ""  # of the file's bytes; `with_sha256` fills it
    order: str = OUR_ORDER


@dataclass(frozen=True)
class Skipped:
    """Something that should have been a face but cannot be used. `file`: relative to the corpus."""

    file: str
    reason: str


Entry = Face | Skipped
Content = TypeVar("Content")


@dataclass(frozen=True)
class Layout:
    """The files of a corpus, as its owners publish it.

    read: folder → entries, none where there is no such corpus. title, files: for humans.
    sign: a glob that matches a file only if the folder holds such a corpus. faces: how many are
    published (data/published/counts.csv), 0 for a corpus of the user's own. source: who publishes
    it.
    """

    read: Callable[[Path], list[Entry]]
    title: str
    files: str
    sign: str
    faces: int
    source: str

    def entries(self, folder: Path) -> list[Entry]:
        """All entries of `read`. Raises MissingCorpusError where there are none."""
        if entries := self.read(folder):
            return entries
        raise MissingCorpusError(self, folder)


class MissingCorpusError(InputError):
    """A folder that holds no such corpus. `reason` is the message without source and advice."""

    def __init__(self, layout: Layout, folder: Path) -> None:
        found = "is there, but holds no such file" if folder.is_dir() else "does not exist"
        self.layout = layout
        self.reason = (
            f"no corpus: looked for {layout.title} as {layout.files} in {folder.absolute()}, which "
            f"{found}."
        )
        super().__init__(
            f"{self.reason} {layout.source} Lay it out as the README says and set data.root in "
            "params.yaml to the folder above it."
        )


@dataclass(frozen=True)
class Corpus:
    """faces: INDEX_COLUMNS, one row per face. skipped: file, reason; one row per skipped entry."""

    faces: pd.DataFrame
    skipped: pd.DataFrame


def each_or_skipped(
    files: Sequence[str], read: Callable[[str], Content], title: str
) -> list[Content | Skipped]:
    """`read` of every file, in the order given, with a progress bar.

    A file that raises an InputError or an OSError becomes a Skipped with the reason.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        entries = pool.map(partial(_read_or_skip, read), files)
        return list(tqdm(entries, desc=title, total=len(files), unit="file", disable=not files))


def with_sha256(entries: Sequence[Entry], folder: Path, title: str) -> list[Entry]:
    """The entries; each face has its `image_sha256`, or is skipped if its image cannot be read.

    folder: the corpus; title: of the progress bar. Every image is read once.
    """
    images = list(dict.fromkeys(entry.image for entry in entries if isinstance(entry, Face)))
    digests = each_or_skipped(images, lambda image: sha256(folder / image), title)
    digest_of = dict(zip(images, digests, strict=True))

    def hashed(face: Face) -> Entry:
        digest = digest_of[face.image]
        if isinstance(digest, Skipped):
            return Skipped(face.image, f"{face.name}: {digest.reason}")
        return replace(face, image_sha256=digest)

    return [hashed(entry) if isinstance(entry, Face) else entry for entry in entries]


def to_corpus(entries: Iterable[Entry], dataset: str) -> Corpus:
    """The two tables, in the order of the entries.

    A face is skipped if its pose is impossible, if an earlier face has its name, or if its name is
    not UTF-8.
    """
    faces: dict[str, Face] = {}
    skipped: list[Skipped] = []
    for entry in entries:
        if isinstance(entry, Skipped):
            skipped.append(entry)
        elif entry.name in faces:
            skipped.append(Skipped(entry.image, f"a second face under the name {entry.name}"))
        elif printable(name := entry.image + entry.name) != name:
            skipped.append(Skipped(entry.image, "expected a name in UTF-8"))
        elif reason := _impossible(entry.published_deg):
            skipped.append(Skipped(entry.image, f"{entry.name}: {reason}"))
        else:
            faces[entry.name] = entry
    rows = [_index_row(face, dataset) for face in faces.values()]
    table = _with_our_angles(pd.DataFrame(rows, columns=list(INDEX_COLUMNS)))
    lost = [(printable(skip.file), printable(skip.reason)) for skip in skipped]
    return Corpus(
        table.astype(INDEX_COLUMNS),
        pd.DataFrame(lost, columns=SKIPPED_COLUMNS).astype("str"),
    )


def read_pairs(
    folders: Iterable[Path],
    root: Path,
    suffixes: tuple[str, str],
    read: Callable[[str], Face],
    title: str,
) -> list[Entry]:
    """`each_or_skipped` of the images that have a label, then the files without their twin.

    Twins have the same name up to the suffixes (of images, of labels). Both parts are sorted, and
    paths are relative to `root`.
    """
    image_suffix, label_suffix = suffixes
    files = {
        path.relative_to(root).as_posix()
        for folder in folders
        for path in folder.iterdir()
        if not path.name.startswith(".")
    }
    images = {f.removesuffix(image_suffix) for f in files if f.endswith(image_suffix)}
    labels = {f.removesuffix(label_suffix) for f in files if f.endswith(label_suffix)}
    alone = [(stem, image_suffix, label_suffix) for stem in images - labels]
    alone += [(stem, label_suffix, image_suffix) for stem in labels - images]
    return [
        *each_or_skipped([stem + image_suffix for stem in sorted(images & labels)], read, title),
        *(
            Skipped(stem + own, f"no {Path(stem).name}{other}")
            for stem, own, other in sorted(alone)
        ),
    ]


def bounding_box(points_px: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """The rectangle around landmarks. points_px (≥2 x N): rows x and y. → x1, y1, x2, y2."""
    (x1, y1), (x2, y2) = points_px[:2].min(axis=1), points_px[:2].max(axis=1)
    return float(x1), float(y1), float(x2), float(y2)


def check_near(points_px: NDArray[np.float64], size_hw: tuple[int, int], name: str) -> None:
    """Raises InputError for points further outside the image than its size: the label is damaged.

    points_px (≥2 x N): rows x and y; name: of the points, for the message.
    """
    height, width = size_hw
    size_wh = np.array([[width], [height]])
    relative = points_px[:2] / size_wh
    if not (np.isfinite(points_px).all() and (relative > -1).all() and (relative < 2).all()):
        raise InputError(
            f"{name} holds points that are not in or near the {width} x {height} image"
        )


def is_below(file: str) -> bool:
    """Whether a relative path in a label stays below the folder it refers to."""
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts


def _read_or_skip(read: Callable[[str], Content], file: str) -> Content | Skipped:
    try:
        return read(file)
    except UnreadableFileError as error:
        other = error.path.name if error.path.name != Path(file).name else ""
        return Skipped(file, f"{other}: {error.reason}".removeprefix(": "))
    except InputError as error:
        return Skipped(file, str(error))
    except OSError as error:
        return Skipped(file, error.strerror or type(error).__name__)


def _impossible(angles_deg: NDArray[np.float64]) -> str:
    """Why no head can have this pose, "" if one can."""
    shown = ", ".join(f"{angle:.1f}" for angle in angles_deg)
    if not np.isfinite(angles_deg).all():
        return f"non-finite pose ({shown})"
    if np.abs(angles_deg).max() > MAX_ABS_DEG:
        return f"impossible pose ({shown}), expected angles within ±{MAX_ABS_DEG:.0f}°"
    return ""


def _with_our_angles(faces: pd.DataFrame) -> pd.DataFrame:
    """Adds pitch, yaw and roll, those of another order rounded to 1e-6 degrees.

    Far below what labels know, far above what processors disagree about: equal tables everywhere.
    """
    published = faces[PUBLISHED_PYR].to_numpy("f8")
    other = (faces["order"] == AFLW_ORDER).to_numpy()
    pyr_deg = published.copy()
    pyr_deg[other] = np.round(pyr_from_yxz(published[other]), 6)
    return faces.assign(**dict(zip(PYR, pyr_deg.T, strict=True)))


def _index_row(face: Face, dataset: str) -> dict[str, str | float]:
    return {
        "face_id": f"{dataset}/{face.name}",
        "dataset": dataset,
        "image": face.image,
        "image_sha256": face.image_sha256,
        "split": face.split,
        "subject": face.subject,
        "video": face.video,
        "order": face.order,
        **dict(zip(PUBLISHED_PYR, face.published_deg.tolist(), strict=True)),
        **dict(zip(ANNOTATED_BOX, face.bbox_xyxy, strict=True)),
    }

"""What every reader does alike: read each entry, keep it or say why not, and never stop for one."""

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

from hpe_core.errors import InputError, UnreadableFileError
from hpe_core.io.files import sha256
from hpe_core.io.tables import ANNOTATED_BOX, INDEX_COLUMNS, PYR

SKIPPED_COLUMNS = ["file", "reason"]
MAX_ABS_DEG = 1440.0  # AFLW has angles beyond 360°; beyond four turns it is no angle
THREADS = 8  # files are small: the time goes into waiting for the disk
NO_BOX = (np.nan,) * 4


@dataclass(frozen=True)
class Face:
    """One annotated face. Paths are relative to the corpus folder, with forward slashes."""

    name: str  # unique in the corpus; face_id is dataset/name
    image: str
    pyr_deg: NDArray[np.float64]
    bbox_xyxy: Sequence[float] = NO_BOX
    subject: str = ""
    video: str = ""
    split: str = ""  # the corpus's own
    image_sha256: str = ""  # of the file's bytes; `with_sha256` fills it


@dataclass(frozen=True)
class Skipped:
    """Something that should have been a face and is none. `file` is relative to the corpus."""

    file: str
    reason: str


Entry = Face | Skipped
T = TypeVar("T")


@dataclass(frozen=True)
class Corpus:
    """faces: INDEX_COLUMNS, one row a face. skipped: file, reason; one row for each face lost."""

    faces: pd.DataFrame
    skipped: pd.DataFrame


def read_each(files: Sequence[str], read: Callable[[str], T], title: str) -> list[T | Skipped]:
    """`read` of every file, in the order given, with a progress bar.

    An InputError or a failing disk is that one file's: it becomes a Skipped with its reason.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        entries = pool.map(partial(_read_or_skip, read), files)
        return list(tqdm(entries, desc=title, total=len(files), unit="file"))


def with_sha256(entries: Sequence[Entry], folder: Path, title: str) -> list[Entry]:
    """The entries, each face with its `image_sha256`, or a Skipped where it can't be read any more.

    folder: the corpus; title: of the progress bar. Every image is read once.
    """
    images = list(dict.fromkeys(entry.image for entry in entries if isinstance(entry, Face)))
    digests = read_each(images, lambda image: sha256(folder / image), title)
    digest_of = dict(zip(images, digests, strict=True))

    def hashed(entry: Entry) -> Entry:
        if isinstance(entry, Skipped):
            return entry
        digest = digest_of[entry.image]
        if isinstance(digest, Skipped):
            return Skipped(entry.image, f"{entry.name}: {digest.reason}")
        return replace(entry, image_sha256=digest)

    return [hashed(entry) for entry in entries]


def to_corpus(entries: Iterable[Entry], dataset: str) -> Corpus:
    """The two tables, in the order of the entries. A face with an impossible pose, under a name
    that an earlier one has, or that no table can hold, goes to the skipped ones.
    """
    faces: dict[str, Face] = {}
    skipped: list[Skipped] = []
    for entry in entries:
        if isinstance(entry, Skipped):
            skipped.append(entry)
        elif entry.name in faces:
            skipped.append(Skipped(entry.image, f"a second face under the name {entry.name}"))
        elif not _is_utf8(entry.image + entry.name):
            skipped.append(Skipped(entry.image, "expected a name in UTF-8"))
        elif reason := _impossible(entry.pyr_deg):
            skipped.append(Skipped(entry.image, f"{entry.name}: {reason}"))
        else:
            faces[entry.name] = entry
    rows = [_row(face, dataset) for face in faces.values()]
    lost = [(_printable(skip.file), _printable(skip.reason)) for skip in skipped]
    return Corpus(
        pd.DataFrame(rows, columns=list(INDEX_COLUMNS)).astype(INDEX_COLUMNS),
        pd.DataFrame(lost, columns=SKIPPED_COLUMNS).astype("str"),
    )


def pairs(
    folders: Iterable[Path], root: Path, image_suffix: str, label_suffix: str
) -> tuple[list[str], list[Skipped]]:
    """The images that have a label beside them, and the files without their twin.

    Twins have equal names up to the suffixes. Everything is sorted and relative to `root`.
    """
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
    return (
        [stem + image_suffix for stem in sorted(images & labels)],
        [Skipped(stem + own, f"no {Path(stem).name}{other}") for stem, own, other in sorted(alone)],
    )


def bounding_box(points_px: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """The rectangle around landmarks. points_px (≥2 x N): rows x and y. → x1, y1, x2, y2."""
    (x1, y1), (x2, y2) = points_px[:2].min(axis=1), points_px[:2].max(axis=1)
    return float(x1), float(y1), float(x2), float(y2)


def check_near(points_px: NDArray[np.float64], size_hw: tuple[int, int], name: str) -> None:
    """Points may leave the image, but not by more than its size: such a label is damaged.

    points_px (≥2 x N): rows x and y; name: of the points, for the InputError.
    """
    height, width = size_hw
    size_wh = np.array([[width], [height]])
    relative = points_px[:2] / size_wh
    if not (np.isfinite(points_px).all() and (relative > -1).all() and (relative < 2).all()):
        raise InputError(
            f"{name} holds points that are not in or near the {width} x {height} image"
        )


def is_below(file: str) -> bool:
    """Whether a path that a label names stays in the folder that it is relative to."""
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts


def missing_corpus(folder: Path, expected: str, source: str) -> InputError:
    """The error for a corpus that is not where it was looked for."""
    found = "is there, but holds no such file" if folder.is_dir() else "does not exist"
    return InputError(
        f"no corpus: looked for {expected} in {folder.absolute()}, which {found}. {source} "
        "Lay it out as the README says and set data.root in params.yaml to the folder above it."
    )


def _read_or_skip(read: Callable[[str], T], file: str) -> T | Skipped:
    try:
        return read(file)
    except UnreadableFileError as error:
        other = error.path.name if error.path.name != Path(file).name else ""
        return Skipped(file, f"{other}: {error.reason}".removeprefix(": "))
    except InputError as error:
        return Skipped(file, str(error))
    except OSError as error:
        return Skipped(file, error.strerror or type(error).__name__)


def _is_utf8(name: str) -> bool:
    return _printable(name) == name


def _printable(name: str) -> str:
    r"""Linux' file names are bytes: one that is no UTF-8 is shown as `\xff.jpg`."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _impossible(pyr_deg: NDArray[np.float64]) -> str:
    """Why this is no pose, or an empty string."""
    shown = ", ".join(f"{angle:.1f}" for angle in pyr_deg)
    if not np.isfinite(pyr_deg).all():
        return f"non-finite pose ({shown})"
    if np.abs(pyr_deg).max() > MAX_ABS_DEG:
        return f"impossible pose ({shown}), accepted is up to ±{MAX_ABS_DEG:.0f}°"
    return ""


def _row(face: Face, dataset: str) -> dict[str, str | float]:
    return {
        "face_id": f"{dataset}/{face.name}",
        "dataset": dataset,
        "image": face.image,
        "image_sha256": face.image_sha256,
        "split": face.split,
        "subject": face.subject,
        "video": face.video,
        **dict(zip(PYR, face.pyr_deg.tolist(), strict=True)),
        **dict(zip(ANNOTATED_BOX, face.bbox_xyxy, strict=True)),
    }

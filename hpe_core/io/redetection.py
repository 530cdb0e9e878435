"""Every face of an index, looked for in its image: read ahead, detect, match."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import lightning_fabric
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from hpe_core import boxes
from hpe_core.ahead import read_ahead
from hpe_core.errors import UnreadableImageError
from hpe_core.io.detector import NOTHING, Detections, Detector, Prepared
from hpe_core.io.images import read_image
from hpe_core.io.shards import Arrays, in_shards
from hpe_core.io.tables import ANNOTATED_BOX, DETECTED_BOX
from hpe_core.io.work import Work
from hpe_core.matching import match, why_unmatched

IN_FLIGHT = 32  # images read ahead of the network: bounds the memory
MEASURED = [*DETECTED_BOX, "det_score", "match_iou"]
OUTSIDE = "annotated box outside the image: "  # begins that of one without a box to fall back to
UNREADABLE = "unreadable image: "  # begins the reason of a face that cannot be cropped either

T = TypeVar("T")


def detect_faces(
    faces: pd.DataFrame,
    folder: Path,
    detector: Detector,
    min_iou: float,
    work: Work,
    fabric: lightning_fabric.Fabric,
) -> tuple[pd.DataFrame, pd.Series]:
    """The rows of `faces` that were found, with their box columns, and row → reason for the others.

    faces: an index (io/tables.py); folder: what its `image` is relative to; min_iou: overlap with
    the annotated box below which a detection is another face. Boxes are the detector's own.
    Each image is decoded once, however many faces it holds. An unreadable image is a reason.
    Several processes share the images; the first gets all faces, the others none. work: where
    images that are done are kept.
    """
    measured = np.full((len(faces), len(MEASURED)), np.nan)
    reasons = np.full(len(faces), "", dtype=object)
    by_image = faces.groupby("image", sort=False).indices
    rows_of = {str(name): np.asarray(rows) for name, rows in by_image.items()}
    names = np.array(list(rows_of))

    def measure_some(some: NDArray[np.int64]) -> Iterator[Arrays]:
        hidden = not fabric.is_global_zero
        with tqdm(total=len(some), unit="image", desc=folder.name, disable=hidden) as bar:
            own = names[some].tolist()
            for part in measure_images(faces, rows_of, folder, own, detector, min_iou):
                yield part
                bar.update(min(detector.batch, len(own) - bar.n))

    for rows, values, texts in in_shards(work, len(names), detector.batch, measure_some, fabric):
        measured[rows], reasons[rows] = values, texts
    table = faces.assign(box_source="detected")
    table[MEASURED] = measured
    missing = reasons != ""
    return table[~missing], pd.Series(reasons[missing], index=faces.index[missing], dtype=object)


def measure_images(
    faces: pd.DataFrame,
    rows_of: Mapping[str, NDArray[np.int64]],
    folder: Path,
    names: Sequence[str],
    detector: Detector,
    min_iou: float,
) -> Iterator[Arrays]:
    """The detector's batches of images: rows of `faces`, their `MEASURED` and reasons."""
    annot_xyxy = faces[ANNOTATED_BOX].to_numpy()
    images = detected(folder, names, detector)
    while batch := list(islice(images, detector.batch)):
        parts = []
        for name, image, found in batch:
            rows = rows_of[name]
            if isinstance(image, UnreadableImageError):
                values = np.full((len(rows), len(MEASURED)), np.nan)
                texts = [UNREADABLE + image.reason] * len(rows)
            else:
                values, texts = measure(annot_xyxy[rows], found, image.size_wh, min_iou)
            parts.append((rows, values, np.array(texts, dtype=np.str_)))
        yield tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def measure(
    annot_xyxy: NDArray[np.float64], found: Detections, size_wh: tuple[int, int], min_iou: float
) -> tuple[NDArray[np.float64], list[str]]:
    """One image's faces: their `MEASURED` columns (F x 6, NaN without a match) and reasons (F)."""
    index, iou = match(annot_xyxy, found.bbox_xyxy, found.score, size_wh, min_iou)
    measured = np.full((len(index), len(MEASURED)), np.nan)
    has = index >= 0
    own = index[has]
    measured[has] = np.column_stack([found.bbox_xyxy[own], found.score[own], iou[has]])
    outside = np.isfinite(annot_xyxy).all(1) & ~boxes.centred_inside(annot_xyxy, size_wh)
    reasons = why_unmatched(index, annot_xyxy, found.bbox_xyxy, min_iou)
    return measured, [
        OUTSIDE + reason if reason and beyond else reason
        for reason, beyond in zip(reasons, outside, strict=True)
    ]


def detected(
    folder: Path, names: Sequence[str], detector: Detector
) -> Iterator[tuple[str, Prepared | UnreadableImageError, Detections]]:
    """(name, image, its faces) for each name, in order. An unreadable image is its error."""
    images = zip(names, images_ahead(folder, names, detector.prepare), strict=True)
    while batch := list(islice(images, detector.batch)):
        readable = [image for _, image in batch if isinstance(image, Prepared)]
        found = iter(detector.detect_prepared(readable))
        for name, image in batch:
            yield name, image, next(found) if isinstance(image, Prepared) else NOTHING


def images_ahead(
    folder: Path, names: Iterable[str], prepare: Callable[[NDArray[np.uint8]], T]
) -> Iterator[T | UnreadableImageError]:
    """The images, read and prepared, in order; threads are `IN_FLIGHT` of them ahead."""

    def read(name: str) -> T | UnreadableImageError:
        try:
            return prepare(read_image(folder / name))
        except UnreadableImageError as error:
            return error

    return read_ahead(read, names, IN_FLIGHT)


def image_sizes(
    folder: Path, names: Sequence[str]
) -> dict[str, tuple[int, int] | UnreadableImageError]:
    """Name → width and height, or why the image cannot be decoded."""
    sizes = images_ahead(folder, names, lambda image: (image.shape[1], image.shape[0]))
    shown = tqdm(sizes, total=len(names), unit="image", desc=folder.name)
    return dict(zip(names, shown, strict=True))

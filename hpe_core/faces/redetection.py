"""Finds every face of an index in its image: prefetch, detect, match."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from hpe_core.common.errors import UnreadableImageError
from hpe_core.common.geometry import Array
from hpe_core.common.table_files import ANNOTATED_BOX
from hpe_core.faces import boxes
from hpe_core.faces.box_table import MEASURED, OUTSIDE, UNREADABLE, Boxed
from hpe_core.faces.detector import NO_DETECTIONS, Detections, Detector, Prepared
from hpe_core.faces.images import read_corpus_image
from hpe_core.faces.matching import match, why_unmatched
from hpe_core.work.prefetch import Result, read_ahead
from hpe_core.work.resume import Processes, Work
from hpe_core.work.shards import Arrays, in_shards

IN_FLIGHT = 32  # images prefetched for the network: bounds the memory


@dataclass(frozen=True)
class Search:
    """A search for the faces of an index in the images below `folder`, each of them decoded once.

    min_iou: smallest IoU of a detection with a face's annotated box. title: of the progress bar.
    """

    faces: pd.DataFrame
    folder: Path
    detector: Detector
    min_iou: float
    title: str

    @cached_property
    def rows_of(self) -> dict[str, NDArray[np.int64]]:
        """Image → rows of its faces."""
        by_image = self.faces.groupby("image", sort=False).indices
        return {str(name): np.asarray(rows) for name, rows in by_image.items()}

    def in_images(self, names: Sequence[str], *, hidden: bool = False) -> Iterator[Arrays]:
        """Per batch of images: rows of `faces`, their `MEASURED` columns, and reasons."""
        annot_xyxy = self.faces[ANNOTATED_BOX].to_numpy()
        found_in = detections_in(self.folder, names, self.detector)
        with tqdm(total=len(names), unit="image", desc=self.title, disable=hidden) as bar:
            while batch := list(islice(found_in, self.detector.batch)):
                parts = []
                for name, image, found in batch:
                    rows = self.rows_of[name]
                    if isinstance(image, UnreadableImageError):
                        values = np.full((len(rows), len(MEASURED)), np.nan)
                        texts = [UNREADABLE + image.reason] * len(rows)
                    else:
                        own_xyxy = annot_xyxy[rows]
                        values, texts = measure(own_xyxy, found, image.size_wh, self.min_iou)
                    parts.append((rows, values, np.array(texts, dtype=np.str_)))
                yield tuple(np.concatenate(column) for column in zip(*parts, strict=True))
                bar.update(len(batch))


def find_faces(search: Search) -> Boxed:
    """The faces with the detector's boxes. Faces of an unreadable image have that as a reason."""
    names = list(search.rows_of)
    return _boxed(search.faces, search.in_images(names, hidden=not names))


def find_faces_in_shards(search: Search, work: Work, processes: Processes) -> Boxed:
    """`find_faces` with several processes. The first gets the result, the others an empty one.

    work: keeps the results of finished images.
    """
    names = np.array(list(search.rows_of))

    def in_some(some: NDArray[np.int64]) -> Iterator[Arrays]:
        return search.in_images(names[some].tolist(), hidden=not processes.is_global_zero)

    parts = in_shards(work, len(names), search.detector.batch, in_some, processes)
    return _boxed(search.faces, parts)


def _boxed(faces: pd.DataFrame, parts: Iterable[Arrays]) -> Boxed:
    measured = np.full((len(faces), len(MEASURED)), np.nan)
    reasons = np.full(len(faces), "", dtype=object)
    for rows, values, texts in parts:
        measured[rows], reasons[rows] = values, texts
    table = faces.assign(box_source="detected")
    table[MEASURED] = measured
    missing = reasons != ""
    lost = pd.Series(reasons[missing], index=faces.index[missing], dtype=object)
    return Boxed(table[~missing], lost)


def measure(
    annot_xyxy: Array, found: Detections, size_wh: tuple[int, int], min_iou: float
) -> tuple[Array, list[str]]:
    """The faces of one image: `MEASURED` columns (F x 6, NaN without a match) and reasons (F)."""
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


def detections_in(
    folder: Path, names: Sequence[str], detector: Detector
) -> Iterator[tuple[str, Prepared | UnreadableImageError, Detections]]:
    """(name, image, its faces) per name, in order. For an unreadable image, image is the error."""
    images = zip(names, images_ahead(folder, names, detector.prepare), strict=True)
    while batch := list(islice(images, detector.batch)):
        readable = [image for _, image in batch if isinstance(image, Prepared)]
        found = iter(detector.detect_prepared(readable))
        for name, image in batch:
            yield name, image, next(found) if isinstance(image, Prepared) else NO_DETECTIONS


def images_ahead(
    folder: Path, names: Iterable[str], prepare: Callable[[NDArray[np.uint8]], Result]
) -> Iterator[Result | UnreadableImageError]:
    """The images, read and prepared, in order. Threads prefetch `IN_FLIGHT` of them."""

    def read(name: str) -> Result | UnreadableImageError:
        try:
            return prepare(read_corpus_image(folder, name))
        except UnreadableImageError as error:
            return error

    return read_ahead(read, names, IN_FLIGHT)

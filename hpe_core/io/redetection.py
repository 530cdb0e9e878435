"""Every face of an index, looked for in its image: decode ahead, detect, match."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import lightning_fabric
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from hpe_core.errors import UnreadableImageError
from hpe_core.io.detector import NOTHING, Detections, Detector
from hpe_core.io.images import read_image
from hpe_core.io.shards import gathered, share_of
from hpe_core.io.tables import ANNOTATED_BOX, DETECTED_BOX
from hpe_core.matching import match, why_unmatched

IN_FLIGHT = 32  # images decoded ahead of the network: bounds the memory
THREADS = 2  # that decode; the network uses all cores anyway
MEASURED = [*DETECTED_BOX, "det_score", "match_iou"]
UNREADABLE = "unreadable image: "  # begins the reason of a face that cannot be cropped either

Decoded = NDArray[np.uint8] | UnreadableImageError


def detect_faces(
    faces: pd.DataFrame,
    folder: Path,
    detector: Detector,
    min_iou: float,
    boxes: Path,
    fabric: lightning_fabric.Fabric,
) -> tuple[pd.DataFrame, pd.Series]:
    """The rows of `faces` that were found, with their box columns, and row → reason for the others.

    faces: an index (io/tables.py); folder: what its `image` is relative to; min_iou: overlap with
    the annotated box below which a detection is another face. Boxes are the detector's own.
    Each image is decoded once, however many faces it holds. An unreadable image is a reason.
    Several processes share the images; the first gets all faces, the others none. boxes: the file
    that the first will write.
    """
    measured = np.full((len(faces), len(MEASURED)), np.nan)
    reasons = np.full(len(faces), "", dtype=object)
    own = measure_images(faces, folder, detector, min_iou, fabric)
    for rows, values, texts in gathered(boxes, own, fabric):
        measured[rows], reasons[rows] = values, texts
    table = faces.assign(box_source="detected")
    table[MEASURED] = measured
    missing = reasons != ""
    return table[~missing], pd.Series(reasons[missing], index=faces.index[missing], dtype=object)


def measure_images(
    faces: pd.DataFrame,
    folder: Path,
    detector: Detector,
    min_iou: float,
    fabric: lightning_fabric.Fabric,
) -> Iterator[tuple[NDArray, ...]]:
    """Image by image of this process's share: rows of `faces`, their `MEASURED` and reasons."""
    rows_of = faces.groupby("image", sort=False).indices
    annot_xyxy = faces[ANNOTATED_BOX].to_numpy()
    names = share_of([str(name) for name in rows_of], detector.batch, fabric)
    hidden = not fabric.is_global_zero
    with tqdm(total=len(names), unit="image", desc=folder.name, disable=hidden) as bar:
        for name, image, found in detected(folder, names, detector):
            rows = np.asarray(rows_of[name])
            if isinstance(image, UnreadableImageError):
                values = np.full((len(rows), len(MEASURED)), np.nan)
                texts = [UNREADABLE + image.reason] * len(rows)
            else:
                size_wh = (image.shape[1], image.shape[0])
                values, texts = measure(annot_xyxy[rows], found, size_wh, min_iou)
            yield rows, values, np.array(texts, dtype=np.str_)
            bar.update()


def measure(
    annot_xyxy: NDArray[np.float64], found: Detections, size_wh: tuple[int, int], min_iou: float
) -> tuple[NDArray[np.float64], list[str]]:
    """One image's faces: their `MEASURED` columns (F x 6, NaN without a match) and reasons (F)."""
    index, iou = match(annot_xyxy, found.bbox_xyxy, found.score, size_wh, min_iou)
    measured = np.full((len(index), len(MEASURED)), np.nan)
    has = index >= 0
    own = index[has]
    measured[has] = np.column_stack([found.bbox_xyxy[own], found.score[own], iou[has]])
    return measured, why_unmatched(index, annot_xyxy, found.bbox_xyxy, min_iou)


def detected(
    folder: Path, names: Sequence[str], detector: Detector
) -> Iterator[tuple[str, Decoded, Detections]]:
    """(name, image, its faces) for each name, in order. An unreadable image is its error."""
    images = zip(names, decoded(folder, names), strict=True)
    while batch := list(islice(images, detector.batch)):
        readable = [image for _, image in batch if isinstance(image, np.ndarray)]
        found = iter(detector.detect(readable))
        for name, image in batch:
            yield name, image, next(found) if isinstance(image, np.ndarray) else NOTHING


def decoded(folder: Path, names: Iterable[str]) -> Iterator[Decoded]:
    """The images in order, `IN_FLIGHT` of them read ahead in threads."""
    waiting: deque[Future[Decoded]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for name in names:
            waiting.append(pool.submit(_read, folder / name))
            if len(waiting) == IN_FLIGHT:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def unreadable_images(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Name → reason, of the images that cannot be decoded."""
    images = zip(names, decoded(folder, names), strict=True)
    return {
        name: UNREADABLE + image.reason
        for name, image in tqdm(images, total=len(names), unit="image", desc=folder.name)
        if isinstance(image, UnreadableImageError)
    }


def _read(path: Path) -> Decoded:
    try:
        return read_image(path)
    except UnreadableImageError as error:
        return error

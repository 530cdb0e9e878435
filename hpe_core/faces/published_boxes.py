"""The boxes published with the paper, for users who have them: we have no licence to ship them.

One JSON file per corpus: {"file": [{"bbox": [x1, y1, x2, y2], "type"?: "train" | "test",
"faceid"?: int}, …]}. Files are named relative to `300W_LP/`, `AFLW/data/flickr/`, `AFLW2000/` and
`BIWI/hpdb/`.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError
from tqdm import tqdm

from hpe_core.common.errors import InputError, UnreadableImageError, brief
from hpe_core.common.files import check_sha256_beside, read_at_most
from hpe_core.common.geometry import Array
from hpe_core.common.settings import Section
from hpe_core.common.table_files import ANNOTATED_BOX, DETECTED_BOX
from hpe_core.faces.box_table import UNREADABLE, Boxed
from hpe_core.faces.boxes import iou, pixels_inside
from hpe_core.faces.redetection import images_ahead

Value = TypeVar("Value")
Size = tuple[int, int] | UnreadableImageError  # width, height, or why the image is unreadable
MAX_LIST_BYTES = 256 * 2**20  # per file; that of 300W-LP has about 10 MB
INNER_FOLDERS = ("data/flickr/", "hpdb/")  # of AFLW and BIWI: the published names omit them
REASON_NO_FILE = "no published box: the file is not in the published list"
REASON_NO_FACE = "no published box: none of the file's boxes is this face's"


class PublishedFace(Section):
    """One box of a published file. Refuses unknown keys, so that a renamed key is noticed."""

    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]
    type: Literal["train", "test"] | None = None
    faceid: int | None = None


PublishedBoxes = dict[str, list[PublishedFace]]


def published_file(path: Path, dataset: str) -> Path:
    """`path`, or `<dataset>.json` in it if it is a folder. Raises InputError if that is missing."""
    file = path / f"{dataset}.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{file}: no published boxes there; expected a JSON file, or a folder with one file "
            f"named {dataset}.json"
        )
    return file


def read_published_boxes(file: Path) -> PublishedBoxes:
    """File name → its faces. Raises InputError naming the file and the entry that is wrong."""
    check_sha256_beside(file)
    text = read_at_most(file, MAX_LIST_BYTES)
    try:
        content = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_each_once)
        faces = TypeAdapter(PublishedBoxes).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = " / ".join(str(part) for part in first["loc"])
        raise InputError(
            f"{file}: {place}: {first['msg']}; found {brief(first['input'])}; expected "
            '{"file": [{"bbox": [x1, y1, x2, y2], "type"?, "faceid"?}]}'
        ) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 5,000 brackets
        raise InputError(f"{file}: not JSON: {error}") from error
    for name, entries in faces.items():
        for entry in entries:
            x1, y1, x2, y2 = entry.bbox
            if not (x1 < x2 and y1 < y2):
                raise InputError(
                    f"{file}: {name}: expected bbox x1 < x2, y1 < y2, found {entry.bbox}"
                )
        if twice := _twice(entry.faceid for entry in entries if entry.faceid is not None):
            raise InputError(
                f"{file}: {name}: expected each face once, found faceid {twice[0]} twice"
            )
    return faces


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError for a repeated key, of which json would keep the last."""
    if twice := _twice(name for name, _ in pairs):
        raise ValueError(f"expected each key once, found {twice[0]!r} twice")
    return dict(pairs)


def _twice(values: Iterable[Value]) -> list[Value]:
    return [value for value, times in Counter(values).items() if times > 1]


def assign_published(index: pd.DataFrame, published: PublishedBoxes) -> Boxed:
    """The published box of every face of the index.

    Within a file, boxes are assigned by `faceid` (the number at the end of AFLW's face_id) if any
    box has one, else by order if there are as many boxes as faces. A published `type` replaces
    `split`. `match_iou` is the IoU with the annotated box, NaN if there is none; `det_score` is
    NaN. Raises InputError if no face has a box: the file belongs to another corpus.
    """
    keys = index["image"].map(_published_key)
    entries = pd.Series([None] * len(index), index=index.index, dtype=object)
    reasons = pd.Series("", index=index.index, dtype=object)
    for key, group in index.groupby(keys, sort=False):
        for row, entry in zip(group.index, _of_faces(group, published.get(str(key))), strict=True):
            entries[row] = entry
            if entry is None:
                reasons[row] = REASON_NO_FACE if str(key) in published else REASON_NO_FILE
    found = index[entries.notna()].copy()
    if found.empty:
        raise InputError(
            f"none of the {len(index)} faces is in the published boxes: looked for names such as "
            f"{list(keys[:3])}, found such as {list(published)[:3]}"
        )
    chosen = entries[found.index]
    found[DETECTED_BOX] = np.array([entry.bbox for entry in chosen], dtype=np.float64)
    found["det_score"] = np.nan
    found["match_iou"] = _own_iou(found)
    found["box_source"] = "published"
    types = pd.Series([entry.type for entry in chosen], index=found.index, dtype=object)
    found["split"] = found["split"].where(types.isna(), types)
    return Boxed(found, reasons[reasons != ""])


def croppable(published: Boxed, folder: Path) -> Boxed:
    """The published boxes that can be cropped: the image is readable and the box touches it."""
    found = published.found
    names = sorted(set(found["image"]))
    read = images_ahead(folder, names, lambda image: (image.shape[1], image.shape[0]))
    shown = tqdm(read, total=len(names), unit="image", desc=folder.name)
    sizes = dict(zip(names, shown, strict=True))
    pairs = zip(found[DETECTED_BOX].to_numpy(), found["image"], strict=True)
    reasons = [_why_not_cropped(bbox_xyxy, sizes[image]) for bbox_xyxy, image in pairs]
    more = pd.Series(reasons, index=found.index, dtype=object)
    lost = more != ""
    return Boxed(found[~lost], pd.concat([published.reasons, more[lost]]).sort_index())


def _why_not_cropped(bbox_xyxy: Array, size_wh: Size) -> str:
    """Why a published box (4) of an image cannot be cropped, "" if it can."""
    if isinstance(size_wh, UnreadableImageError):
        return UNREADABLE + size_wh.reason
    if pixels_inside(bbox_xyxy, size_wh) == 0:
        found = np.round(bbox_xyxy, 1).tolist()
        return f"published box {found} lies outside the image of {size_wh[0]} x {size_wh[1]} pixels"
    return ""


def _published_key(image: str) -> str:
    for folder in INNER_FOLDERS:
        image = image.removeprefix(folder)
    return image


def _of_faces(
    group: pd.DataFrame, entries: list[PublishedFace] | None
) -> list[PublishedFace | None]:
    """The entry of each face in one file, None for a face without."""
    if not entries:
        return [None] * len(group)
    if any(entry.faceid is not None for entry in entries):
        by_id = {str(entry.faceid): entry for entry in entries}
        return [by_id.get(face_id.rsplit("/", 1)[-1]) for face_id in group["face_id"]]
    return list(entries) if len(entries) == len(group) else [None] * len(group)


def _own_iou(faces: pd.DataFrame) -> Array:
    """IoU of each face's box with its annotated box (N), NaN if it has none."""
    annot, bbox = faces[ANNOTATED_BOX].to_numpy(), faces[DETECTED_BOX].to_numpy()
    pairs = zip(annot, bbox, strict=True)
    return np.array([np.nan if np.isnan(a).any() else iou(a, b)[0, 0] for a, b in pairs])

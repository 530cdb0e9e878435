"""The boxes published with the paper, for users who have them (their licence lets us ship none).

One JSON file a corpus: {"file": [{"bbox": [x1, y1, x2, y2], "type"?: "train" | "test",
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
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hpe_core import boxes
from hpe_core.errors import InputError, brief
from hpe_core.io.files import check_sha256_beside, read_at_most
from hpe_core.io.tables import ANNOTATED_BOX, DETECTED_BOX

T = TypeVar("T")
MAX_BYTES = 256 * 2**20  # of a file; that of 300W-LP has some 10 MB
INNER_FOLDERS = ("data/flickr/", "hpdb/")  # of AFLW and BIWI: left out of the published names
REASON_NO_FILE = "no published box: the file is not in the published list"
REASON_NO_FACE = "no published box: none of the file's boxes is this face's"


class PublishedFace(BaseModel):
    """One box of the published file. Unknown keys are refused: a rename must not pass silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    bbox: Annotated[list[float], Field(min_length=4, max_length=4)]
    type: Literal["train", "test"] | None = None
    faceid: int | None = None


Published = dict[str, list[PublishedFace]]


def published_file(path: Path, dataset: str) -> Path:
    """`path` itself, or `<dataset>.json` in it where it is a folder. Raises InputError."""
    file = path / f"{dataset}.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{file}: no published boxes there; expected a JSON file, or a folder with one file "
            f"named {dataset}.json"
        )
    return file


def read_published(file: Path) -> Published:
    """File name → its faces. Raises InputError naming the file and the wrong entry."""
    check_sha256_beside(file)
    text = read_at_most(file, MAX_BYTES)
    try:
        content = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_each_once)
        faces = TypeAdapter(Published).validate_python(content)
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
    """A JSON object; of a key that stands there twice, Python would take the last."""
    if twice := _twice(name for name, _ in pairs):
        raise ValueError(f"expected each key once, found {twice[0]!r} twice")
    return dict(pairs)


def _twice(values: Iterable[T]) -> list[T]:
    return [value for value, times in Counter(values).items() if times > 1]


def assign_published(index: pd.DataFrame, published: Published) -> tuple[pd.DataFrame, pd.Series]:
    """The published box of every face of the index.

    Within a file a face is found by `faceid` (the number at the end of AFLW's face_id) where the
    entries have one, else by order where there are as many boxes as faces. A published `type`
    replaces `split`. `match_iou` is with the annotated box, NaN where there is none.

    Returns the index's rows that have a box, with the box columns added (`det_score` is NaN,
    nothing is squared or scaled), and row → reason for the others. Raises InputError if no
    face at all has one: then the file is another corpus's.
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
    return found, reasons[reasons != ""]


def _published_key(image: str) -> str:
    for folder in INNER_FOLDERS:
        image = image.removeprefix(folder)
    return image


def _of_faces(
    group: pd.DataFrame, entries: list[PublishedFace] | None
) -> list[PublishedFace | None]:
    """The entry of each face of one file, None where there is none."""
    if not entries:
        return [None] * len(group)
    if any(entry.faceid is not None for entry in entries):
        by_id = {str(entry.faceid): entry for entry in entries}
        return [by_id.get(face_id.rsplit("/", 1)[-1]) for face_id in group["face_id"]]
    return list(entries) if len(entries) == len(group) else [None] * len(group)


def _own_iou(faces: pd.DataFrame) -> np.ndarray:
    """IoU of each face's box with its own annotated box (N), NaN where there is none."""
    annot, bbox = faces[ANNOTATED_BOX].to_numpy(), faces[DETECTED_BOX].to_numpy()
    pairs = zip(annot, bbox, strict=True)
    return np.array([np.nan if np.isnan(a).any() else boxes.iou(a, b)[0, 0] for a, b in pairs])

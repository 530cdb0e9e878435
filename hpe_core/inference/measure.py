"""The errors of a network on labelled faces, for `hpe evaluate`: cutting, prediction, output."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from hpe_core.common.errors import InputError, UnreadableFileError
from hpe_core.common.files import rounded
from hpe_core.common.geometry import DIRECTION, Array, direction, in_camera
from hpe_core.common.table_files import DETECTED_BOX
from hpe_core.crops.window import Pixels, rotated_window
from hpe_core.evaluation.columns import ORDER, PYR, STD_PYR, TRUE_PYR
from hpe_core.evaluation.metrics import FACE_MEASURES, mae_by_yaw, summary
from hpe_core.faces.boxes import centre
from hpe_core.faces.cut import cut_face
from hpe_core.faces.face_rows import box_of
from hpe_core.faces.images import read_corpus_image
from hpe_core.inference.labelled_faces import LabelledFaces, lost_faces
from hpe_core.inference.row_files import write_rows
from hpe_core.runtime.network import OpenNetwork
from hpe_core.work.prefetch import read_ahead

_BATCH = 64  # faces per forward pass: bounds the memory
_CUT_AHEAD = 64  # faces cut ahead of the network

ERRORS = [*PYR, "mae", *FACE_MEASURES]
FACE_NUMBERS = ["x1", "y1", "x2", "y2", *PYR, *STD_PYR, *DIRECTION, *TRUE_PYR]
FACE_COLUMNS = {
    **dict.fromkeys(["face_id", "image"], "str"),
    **dict.fromkeys(FACE_NUMBERS, "float64"),
    **dict.fromkeys([ORDER, "box_source", "why", "reason"], "str"),
}


def predict_faces(
    network: OpenNetwork, faces: LabelledFaces, fov_deg: float | None = None
) -> pd.DataFrame:
    """`FACE_COLUMNS`, one row per face.

    fov_deg: of the images' width, for poses in the frame of the camera (`geometry.in_camera`); None
    leaves them as the network sees them, along the ray to each face.

    Faces that were not evaluated come last, with NaN for numbers, and say why and for what reason.
    Raises InputError if no face was evaluated.
    """
    cuts = cut_faces(network, faces)
    angles: list[Array] = []
    sizes_wh: list[tuple[int, int]] = []
    reasons: list[str] = []
    with tqdm(total=len(faces.table), unit="face", disable=faces.table.empty or None) as bar:
        while some := list(islice(cuts, _BATCH)):
            if done := [cut for cut in some if not isinstance(cut, str)]:
                angles.append(_predict_angles(network, [cut.pixels for cut in done]))
                sizes_wh += [cut.image_wh for cut in done]
            reasons += [cut if isinstance(cut, str) else "" for cut in some]
            bar.update(len(some))
    reason = pd.Series(reasons, index=faces.table.index, dtype="str")
    not_cut = reason != ""
    lost = pd.concat([faces.lost, lost_faces(faces.table[not_cut], "not_cut", reason[not_cut])])
    if not angles:
        last = lost.iloc[-1]
        raise InputError(
            f"{faces.folder}: no face can be evaluated: {_counts_text(_counts(lost))}; "
            f"the last, {last['face_id'] or last['image']}: {last['reason']}"
        )
    cut = faces.table[~not_cut].reset_index(drop=True)
    found = np.concatenate(angles)
    if fov_deg is not None:
        middle_xy = centre(cut[DETECTED_BOX].to_numpy())
        found[:, :3] = in_camera(found[:, :3], middle_xy, np.array(sizes_wh), fov_deg)
    numbers = np.hstack([cut[DETECTED_BOX], found, direction(found[:, :3]), cut[PYR]])
    table = cut[["face_id", "image", ORDER, "box_source"]].join(
        pd.DataFrame(numbers, columns=FACE_NUMBERS)
    )
    every = pd.concat([table, lost])[list(FACE_COLUMNS)]
    words = dict.fromkeys([ORDER, "box_source", "why", "reason"], "")
    return every.fillna(words).astype(FACE_COLUMNS)


def measured_errors(
    network: OpenNetwork, faces: LabelledFaces, table: pd.DataFrame
) -> dict[str, Any]:
    """The errors, as `summary` and `mae_by_yaw` give them, and counts of faces left out.

    table: of `predict_faces`.
    """
    evaluated = table[table["why"] == ""]
    bands = mae_by_yaw(evaluated[PYR], evaluated[TRUE_PYR], faces.yaw_bands_deg)
    return {
        "network": network.path.name,
        "faces_of": faces.name,
        **summary(evaluated[PYR], evaluated[TRUE_PYR], evaluated[ORDER]),
        "abs_yaw": bands,
        "not_evaluated": _counts(table[table["why"] != ""]),
        "left_out_by_filter": {why: count for why, count in faces.left_out.items() if count},
    }


def write_faces(table: pd.DataFrame, out: Path) -> None:
    """One row per face, numbers to four decimals; empty (JSON: null) where not evaluated."""
    rows: list[Any] = table.round(4).astype(object).where(table.notna(), None).to_dict("records")
    form: Any = out.suffix[1:].lower()
    write_rows(rows, FACE_COLUMNS, form, out)


def formatted_errors(errors: dict[str, Any], form: str) -> str:
    """The errors as text, json or csv, ending in a line break."""
    if form == "json":
        return json.dumps(rounded(errors, 4), indent=1) + "\n"
    bands = [{**band, "abs_yaw": name} for name, band in errors["abs_yaw"].items()]
    if "published" in errors:
        whole = {**errors["published"], "faces": errors["faces"]}
        bands.append({**whole, "abs_yaw": "all, as published"})
    rows = pd.DataFrame([{**errors, "abs_yaw": "all"}, *bands])
    table = rows[["abs_yaw", "faces", *ERRORS]]
    if form == "csv":
        print(_left_out_text(errors), file=sys.stderr)
        names = {"network": errors["network"], "faces_of": errors["faces_of"]}
        named = table.assign(**names)[[*names, *table]]
        return named.round(4).to_csv(index=False, lineterminator="\n")
    heading = f"{errors['network']} on {errors['faces_of']}, degrees"
    named = table.rename(columns={"abs_yaw": "|yaw|", "mae": "MAE"})
    text = named.to_string(index=False, float_format="%.2f", na_rep="")
    return f"{heading}\n{text}\n{_left_out_text(errors)}\n"


def _left_out_text(errors: dict[str, Any]) -> str:
    lost, filtered = errors["not_evaluated"], errors["left_out_by_filter"]
    text = f"not evaluated: {sum(lost.values())} of {errors['faces'] + sum(lost.values())} faces"
    if lost:
        text += f": {_counts_text(lost)}"
    if filtered:
        text += f"\nleft out of the whole corpus before, by `filter`: {_counts_text(filtered)}"
    return text


def _counts(lost: pd.DataFrame) -> dict[str, int]:
    return {str(why): int(count) for why, count in lost["why"].value_counts().items()}


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


@dataclass(frozen=True)
class Cut:
    """What a network sees of a face (h x w x 3), and the size of its image."""

    pixels: Pixels
    image_wh: tuple[int, int]


def cut_faces(network: OpenNetwork, faces: LabelledFaces) -> Iterator[Cut | str]:
    """The pixels of each face, or the reason why it has none. Threads cut some faces ahead.

    Each face is a window of a crop with the training's margin, so its pixels equal those of the
    pipeline's evaluation bit for bit.
    """

    def cut_out(face: Mapping[Any, Any]) -> Cut | str:
        try:
            image = read_corpus_image(faces.folder, face["image"])
            crop = cut_face(image, box_of(face), network.crop)
            window = rotated_window(crop, network.crop.size_hw, 0)
            return Cut(window, (image.shape[1], image.shape[0]))
        except UnreadableFileError as error:
            return error.reason
        except InputError as error:
            return str(error)

    return iter(read_ahead(cut_out, faces.table.to_dict("records"), _CUT_AHEAD))


def _predict_angles(network: OpenNetwork, pixels: list[Pixels]) -> Array:
    """pyr_deg and std_deg side by side (N x 6) of N ≥ 1 faces."""
    return np.hstack(network.angles(np.stack(pixels))).astype("f8")

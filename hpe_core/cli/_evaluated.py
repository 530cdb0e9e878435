"""What `hpe evaluate` does with a network and its faces: predictions, errors, and how they look."""

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from hpe_core.ahead import read_ahead
from hpe_core.cli._labelled import LOST, NOT_CUT, Labelled
from hpe_core.cli._networks import Opened
from hpe_core.cropping import Pixels
from hpe_core.errors import InputError, UnreadableFileError
from hpe_core.io.images import read_image
from hpe_core.io.rows import write_rows
from hpe_core.io.tables import DETECTED_BOX
from hpe_core.metrics import mae_by_yaw, summary
from hpe_core.predictions import PYR, STD_PYR, TRUE_PYR
from hpe_core.predictor import cut

_BATCH = 64  # faces through the network at a time: bounds the memory
_IN_FLIGHT = 64  # faces cut ahead of it

NUMBERS = ["x1", "y1", "x2", "y2", *PYR, *STD_PYR, *TRUE_PYR]
COLUMNS = {
    **dict.fromkeys(["face_id", "image"], "str"),
    **dict.fromkeys(NUMBERS, "float64"),
    **dict.fromkeys(["box_source", "why", "reason"], "str"),
}
ERRORS = {"pitch": "pitch", "yaw": "yaw", "roll": "roll", "mae": "MAE", "geodesic": "geodesic"}

Face = dict[Any, Any]  # a row of `Labelled.table`


def predicted(network: Opened, faces: Labelled) -> pd.DataFrame:
    """`COLUMNS`, a row for each face, those that are lost at the end, with why and reason.

    The numbers of a lost face are NaN. Raises InputError if all are lost.
    """
    rows: list[Face] = []
    lost: list[Face] = []
    cuts = cut_faces(network, faces)
    with tqdm(total=len(faces.table), unit="face", disable=faces.table.empty or None) as bar:
        while some := list(islice(cuts, _BATCH)):
            whole = [(face, found) for face, found in some if not isinstance(found, str)]
            rows += _read(network, whole) if whole else []
            lost += [
                {"face_id": face["face_id"], "image": face["image"], "why": NOT_CUT, "reason": r}
                for face, r in some
                if isinstance(r, str)
            ]
            bar.update(len(some))
    every_lost = pd.concat([faces.lost, pd.DataFrame(lost, columns=LOST)])
    if not rows:
        last = every_lost.iloc[-1]
        raise InputError(
            f"{faces.folder}: no face can be evaluated: {_counts(_whys(every_lost))}; "
            f"the last, {last['face_id'] or last['image']}: {last['reason']}"
        )
    table = pd.DataFrame(rows).assign(why="", reason="")
    return pd.concat([table, every_lost])[list(COLUMNS)].fillna({"box_source": ""}).astype(COLUMNS)


def errors_of(network: Opened, faces: Labelled, table: pd.DataFrame) -> dict[str, Any]:
    """What is measured, as `metrics.summary` and `mae_by_yaw` have it, and who is not in it."""
    own = table[table["why"] == ""]
    bands = mae_by_yaw(own[PYR], own[TRUE_PYR], faces.yaw_bands_deg)
    return {
        "network": network.path.name,
        "faces_of": faces.name,
        **summary(own[PYR], own[TRUE_PYR]),
        "abs_yaw": bands,
        "not_evaluated": _whys(table[table["why"] != ""]),
        "left_out_by_filter": {why: count for why, count in faces.left_out.items() if count},
    }


def write(table: pd.DataFrame, out: Path) -> None:
    """A row for each face, of four decimals; empty (json: null) where it was not evaluated."""
    rows: list[Any] = table.round(4).astype(object).where(table.notna(), None).to_dict("records")
    form: Any = out.suffix[1:].lower()
    write_rows(rows, COLUMNS, form, out)


def shown(errors: dict[str, Any], form: str) -> str:
    """The errors as text, json or csv, with a line break at the end."""
    if form == "json":
        return json.dumps(_rounded(errors), indent=1) + "\n"
    rows = pd.DataFrame([{**errors, "abs_yaw": "all"}, *_bands(errors)])
    table = rows[["abs_yaw", "faces", *ERRORS]]
    if form == "csv":
        print(_lost_text(errors), file=sys.stderr)
        names = {"network": errors["network"], "faces_of": errors["faces_of"]}
        named = table.assign(**names)[[*names, *table]]
        return named.round(4).to_csv(index=False, lineterminator="\n")
    heading = f"{errors['network']} on {errors['faces_of']}, degrees"
    columns = {"abs_yaw": "|yaw|", **ERRORS}
    text = table.rename(columns=columns).to_string(index=False, float_format="%.2f", na_rep="")
    return f"{heading}\n{text}\n{_lost_text(errors)}\n"


def _bands(errors: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"abs_yaw": band, **own} for band, own in errors["abs_yaw"].items()]


def _lost_text(errors: dict[str, Any]) -> str:
    lost, before = errors["not_evaluated"], errors["left_out_by_filter"]
    text = f"not evaluated: {sum(lost.values())} of {errors['faces'] + sum(lost.values())} faces"
    if lost:
        text += f": {_counts(lost)}"
    if before:
        text += f"\nleft out of the whole corpus before, by `filter`: {_counts(before)}"
    return text


def _whys(lost: pd.DataFrame) -> dict[str, int]:
    return {str(why): int(count) for why, count in lost["why"].value_counts().items()}


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def cut_faces(network: Opened, faces: Labelled) -> Iterator[tuple[Face, Pixels | str]]:
    """Each face with its pixels, or with why it has none; some ahead are cut meanwhile."""
    crop = network.crop.model_dump()

    def cut_out(face: Face) -> tuple[Face, Pixels | str]:
        box = np.array([face[side] for side in DETECTED_BOX])
        try:
            return face, cut(read_image(faces.folder / face["image"]), box, crop, crop["margin"])
        except UnreadableFileError as error:
            return face, error.reason
        except InputError as error:
            return face, str(error)

    return iter(read_ahead(cut_out, faces.table.to_dict("records"), _IN_FLIGHT))


def _read(network: Opened, faces: list[tuple[Face, Pixels]]) -> list[Face]:
    """Rows of `COLUMNS` of the faces, N ≥ 1."""
    pyr_deg, std_deg = network.read(np.stack([pixels for _, pixels in faces]))
    found = np.hstack([pyr_deg, std_deg]).astype("f8")
    if not np.isfinite(found).all():
        raise InputError(f"{network.path}: answers with something else than angles: it is damaged")
    return [_row(face, numbers) for (face, _), numbers in zip(faces, found, strict=True)]


def _row(face: Face, found: Any) -> Face:
    truth = [face[angle] for angle in PYR]
    values = [*(face[side] for side in DETECTED_BOX), *found, *truth]
    numbers = dict(zip(NUMBERS, map(float, values), strict=True))
    return {**{name: face[name] for name in ("face_id", "image", "box_source")}, **numbers}

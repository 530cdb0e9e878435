"""Pictures as PNG files: equal inputs give equal bytes.

Vega-Lite draws them: without a display, a network or any settings of the user.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import vl_convert
from PIL import Image

from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic, read_json
from hpe_core.crops.store import Crops
from hpe_core.crops.window import Pixels
from hpe_core.tables.templates import SPECS

VEGA_LITE = "6.4"
INK, PALE = "#222222", "#777777"
_SCALE = 1.25  # pixels of the file per pixel of the specification
EXAMPLE_PX = 256


def save_png(spec: Mapping[str, Any], path: Path, scale: float = _SCALE) -> None:
    png = vl_convert.vegalite_to_png(
        {"config": read_json(SPECS / "paper.json"), "padding": 10, **spec},
        vl_version=VEGA_LITE,
        scale=scale,
        allowed_base_urls=[],
    )
    with atomic(path) as temporary:
        # without an alpha channel the file is a fifth of the size
        Image.open(io.BytesIO(png)).convert("RGB").save(temporary, format="png")


def rows_of_faces(crops: Crops, face_ids: Iterable[str]) -> dict[str, int]:
    """face_id → row, of all crops. Raises InputError where one of `face_ids` is not among them."""
    row_of = {face: row for row, face in enumerate(crops.face_id)}
    if absent := set(face_ids) - set(row_of):
        raise InputError(
            f"{crops.path}: no face {min(absent)}, which has predictions; run predict again"
        )
    return row_of


@dataclass(frozen=True)
class Tile:
    """One face of Fig. 8, with the axes drawn: image (EXAMPLE_PX x EXAMPLE_PX x 3) uint8 RGB."""

    image: Pixels
    prediction: str
    truth: str


def save_tiles(
    tiles: Sequence[Tile], title: Sequence[str], axes: Mapping[str, Sequence[int]], path: Path
) -> None:
    """Fig. 8: faces side by side, the angles of prediction (bold) and label (thin) below each.

    axes: the legend of the axes: name → RGB.
    """
    spec = read_json(SPECS / "tiles.json")
    rows = [{**vars(tile), "image": data_uri(tile.image, ".png")} for tile in tiles]
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in axes.values()]
    spec["layer"][-1]["encoding"]["color"]["scale"] = {"domain": list(axes), "range": colours}
    spec["title"]["text"] = list(title)
    save_png({**spec, "data": {"values": rows}}, path, scale=1)


def data_uri(image_rgb: Pixels, suffix: str, how: Sequence[int] = ()) -> str:
    """An image (H x W x 3 uint8, RGB) in a data: address. suffix, how: as for cv2.imencode."""
    bgr = np.ascontiguousarray(image_rgb[..., ::-1])
    data = base64.b64encode(cv2.imencode(suffix, bgr, how)[1].tobytes()).decode()
    return f"data:image/{suffix[1:]};base64,{data}"

"""Cuts one face out of its image."""

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import Array
from hpe_core.crops.settings import CropRules
from hpe_core.crops.window import Pixels, enlarged_crop, published_crop


def cut_face(image: Pixels, bbox_xyxy: Array, rules: CropRules) -> Pixels:
    """One face with its margin m: (h + 2m) x (w + 2m) x 3.

    With and without a margin, the central h x w pixels can differ by rounding. Raises InputError
    for a box that contains no pixel of the image.
    """
    try:
        if rules.rule == "published":
            return published_crop(image, bbox_xyxy, rules.size_hw)
        return enlarged_crop(image, bbox_xyxy, rules.size_hw, rules.margin, rules.border)
    except ValueError as error:
        raise InputError(str(error)) from None

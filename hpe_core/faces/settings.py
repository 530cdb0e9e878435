"""The section `boxes` of params.yaml."""

from dataclasses import dataclass, field
from typing import Literal

_PROBABILITY = {"ge": 0, "le": 1}


@dataclass(frozen=True)
class BoxRules:
    """How boxes are found and shaped. Networks record these rules.

    path: of the detector, or of the published boxes. params.yaml explains the other fields.
    """

    source: Literal["detector", "published"]
    path: str
    input_px: int = field(metadata={"gt": 0, "multiple_of": 32})
    score: float = field(metadata=_PROBABILITY)
    nms_iou: float = field(metadata=_PROBABILITY)
    border: float = field(metadata={"ge": 0, "le": 2})
    match_iou: float = field(metadata=_PROBABILITY)
    unmatched: Literal["drop", "annotated"]
    square: bool
    scale: float = field(metadata={"gt": 0})

"""Sections of the stages from detection to crops: boxes, filter, crop."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hpe_core.params.loading import Probability, Section


class Boxes(Section):
    source: Literal["detector", "published"]
    path: str
    input_px: Annotated[int, Field(gt=0, multiple_of=32)]
    score: Probability
    nms_iou: Probability
    border: Annotated[float, Field(ge=0, le=2)]
    match_iou: Probability
    unmatched: Literal["drop", "annotated"]
    square: bool
    scale: Annotated[float, Field(gt=0)]


class Filter(Section):
    max_angle_deg: Annotated[float, Field(gt=0, le=180)]
    min_side_px: Annotated[float, Field(ge=0)]
    strict_split: bool


class Crop(Section):
    rule: Literal["enlarged", "published"]
    height: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    margin: Annotated[int, Field(ge=0)]
    border: Literal["replicate", "black"]
    codec: Literal["raw", "jpeg", "png"]
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]

    @model_validator(mode="after")
    def _published_has_no_margin(self) -> "Crop":
        if self.rule == "published" and self.margin:
            raise ValueError(f"the published crop has no margin: expected 0, found {self.margin}")
        return self

"""The sections `augment`, `base` and `distill` of params.yaml."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hpe_core.common.geometry import THETA_DEG
from hpe_core.common.settings import Backbone, Precision, Probability, Section, distinct

Schedule = Literal["constant", "cosine", "cooldown"]
BinWidth = Annotated[float, Field(ge=0.1, le=99)]


class Augment(Section):
    flip_p: Probability
    rotate_deg: Annotated[float, Field(ge=0, le=45)]
    max_shift: Annotated[float, Field(ge=0, le=0.5)]
    max_scale: Annotated[float, Field(ge=1, le=2)]
    photometric_p: Probability
    blur_max_px: Literal[3, 5, 7, 9, 11]


class Optim(Section):
    """Settings that the training of base network and students has in common."""

    weights: str
    epochs: Annotated[int, Field(gt=0)]
    batch: Annotated[int, Field(gt=0)]
    label_std_deg: Annotated[float, Field(ge=0, le=45)]
    lr: Annotated[float, Field(gt=0)]
    schedule: Schedule
    precision: Precision


# Units of the regression term of loss (4), in degrees; none: no such term, and no such head.
REGRESSION_UNIT_DEG = {"degrees": 1.0, "radians": math.degrees(1), "theta": THETA_DEG, "none": 0.0}


class Base(Optim):
    backbone: Backbone
    regression: Literal["degrees", "radians", "theta", "none"]
    bins_deg: Annotated[list[BinWidth], Field(min_length=1), AfterValidator(distinct)]


class Distill(Optim):
    label_weight: Annotated[float, Field(ge=0)]
    views: Annotated[int, Field(gt=0)]
    rotate_deg: Annotated[float, Field(ge=0, le=45)]

"""Sections of the training stages and the teacher: augment, base, ensemble, distill."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hpe_core.params.loading import Backbone, Precision, Probability, Section, distinct

BinWidth = Annotated[float, Field(ge=0.1, le=99)]


class Augment(Section):
    flip_p: Probability
    rotate_deg: Annotated[float, Field(ge=0, le=45)]
    photometric_p: Probability
    blur_max_px: Literal[3, 5, 7, 9, 11]


class Optim(Section):
    """What the base network and the students share of their training."""

    weights: str
    epochs: Annotated[int, Field(gt=0)]
    batch: Annotated[int, Field(gt=0)]
    label_std_deg: Annotated[float, Field(ge=0, le=45)]
    lr: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine"]
    precision: Precision


class Base(Optim):
    backbone: Backbone
    bins_deg: Annotated[list[BinWidth], Field(min_length=1), AfterValidator(distinct)]


class Ensemble(Section):
    K: Annotated[int, Field(ge=0)]
    d: Annotated[int, Field(gt=0)]
    turns_deg: Annotated[list[Annotated[float, Field(ge=-45, le=45)]], Field(min_length=1)]
    flip: bool
    precision: Precision


class Distill(Optim):
    label_weight: Annotated[float, Field(ge=0)]
    views: Annotated[int, Field(gt=0)]

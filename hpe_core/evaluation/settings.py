"""The sections `students`, `controls`, `seeds`, `evaluate` and `jitter` of params.yaml."""

from typing import Annotated

from pydantic import AfterValidator, Field

from hpe_core.common.settings import Backbone, Precision, Section, distinct

Students = Annotated[list[Backbone], AfterValidator(distinct)]
Seeds = Annotated[
    list[Annotated[int, Field(ge=0, strict=True)]], Field(min_length=1), AfterValidator(distinct)
]


def _ascending(numbers: list[float]) -> list[float]:
    if numbers != sorted(set(numbers)):
        raise ValueError("expected ascending numbers")
    return numbers


def _changed(factor: float) -> float:
    if factor == 1:
        raise ValueError("1 (the unchanged box) is always measured; expected another factor")
    return factor


Shift = Annotated[float, Field(gt=0, lt=1)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_changed)]


class Evaluate(Section):
    yaw_bands_deg: Annotated[list[float], Field(min_length=2), AfterValidator(_ascending)]
    seed: Annotated[int, Field(ge=0)]
    precision: Precision


class Jitter(Section):
    shifts: Annotated[list[Shift], AfterValidator(_ascending)]
    scales: Annotated[list[Scale], Field(min_length=1), AfterValidator(_ascending)]
    max_faces: Annotated[int, Field(gt=0)] | None
    seed: Annotated[int, Field(ge=0)]

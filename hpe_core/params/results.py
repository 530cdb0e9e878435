"""Sections of the stages that measure and report: sweep, evaluate, jitter, tables."""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from hpe_core.params.loading import Precision, Section


def _ascending(levels: list[float]) -> list[float]:
    if levels != sorted(set(levels)):
        raise ValueError("expected ascending levels")
    return levels


def _changed(factor: float) -> float:
    if factor == 1:
        raise ValueError("the box as it is (1) is always measured; expected another factor")
    return factor


Shift = Annotated[float, Field(gt=0, lt=1)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_changed)]


class Sweep(Section):
    K_max: Annotated[int, Field(ge=0)]
    max_faces: Annotated[int, Field(gt=0)] | None
    seed: Annotated[int, Field(ge=0)]
    precision: Precision


class Evaluate(Section):
    yaw_bands_deg: Annotated[list[float], Field(min_length=2)]
    seed: Annotated[int, Field(ge=0)]
    precision: Precision

    @field_validator("yaw_bands_deg")
    @classmethod
    def _ascending(cls, edges: list[float]) -> list[float]:
        if edges != sorted(set(edges)):
            raise ValueError("expected ascending edges")
        return edges


class Jitter(Section):
    shifts: Annotated[list[Shift], AfterValidator(_ascending)]
    scales: Annotated[list[Scale], Field(min_length=1), AfterValidator(_ascending)]
    max_faces: Annotated[int, Field(gt=0)] | None
    seed: Annotated[int, Field(ge=0)]
    precision: Precision


class Tables(Section):
    corpora: str
    examples: Annotated[int, Field(gt=0)]

"""Sections of the stages that measure and report: sweep, evaluate, tables."""

from typing import Annotated

from pydantic import Field, field_validator

from hpe_core.params.loading import Precision, Section


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


class Tables(Section):
    corpora: str
    examples: Annotated[int, Field(gt=0)]

"""The section that changes speed, not results: compute."""

from typing import Annotated, Literal

from pydantic import Field

from hpe_core.params.loading import Section


class Compute(Section):
    """What changes no result, and so is listed under no stage."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    workers: Annotated[int, Field(ge=0)]
    infer_batch: Annotated[int, Field(gt=0)]

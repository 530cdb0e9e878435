"""The section `compute` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from hpe_core.common.settings import Section


class Compute(Section):
    """Settings that do not change results, and are therefore params of no stage."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    workers: Annotated[int, Field(ge=0)]
    infer_batch: Annotated[int, Field(gt=0)]

"""The section `tables` of params.yaml."""

from typing import Annotated

from pydantic import Field

from hpe_core.common.settings import Section


class Tables(Section):
    corpora: str
    examples: Annotated[int, Field(gt=0)]

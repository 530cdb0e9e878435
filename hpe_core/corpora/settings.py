"""Sections of params.yaml: data, datasets, filter, leaks, protocols, tests, imported."""

from typing import Annotated

from pydantic import Field

from hpe_core.common.settings import Backbone, Name, Section
from hpe_core.corpora.names import ReaderName
from hpe_core.crops.settings import CropRule


class Filter(Section):
    max_angle_deg: Annotated[float, Field(gt=0, le=180)]
    min_side_px: Annotated[float, Field(ge=0)]
    strict_split: bool


Column = Annotated[str, Field(pattern="^(split|subject|video|box_source)$")]
Where = dict[Column, Annotated[list[str], Field(min_length=1)]]  # of the face table → accepted


class Data(Section):
    """root: the folder of the corpora."""

    root: Annotated[str, Field(min_length=1)]


class Dataset(Section):
    """A corpus in the folder of its name. split_by: the corpus whose images mark its test split."""

    reader: ReaderName
    split_by: Name


class Protocol(Section):
    """train: the corpora that are trained on, and which of their faces."""

    train: Annotated[dict[Name, Where], Field(min_length=1)]
    validation: Annotated[float, Field(ge=0, le=0.5)]


class Test(Section):
    protocol: Name
    dataset: Name
    where: Where


class Leaks(Section):
    strict: bool


class Imported(Section):
    """A network published elsewhere, evaluated with its own crops."""

    file: str
    backbone: Backbone
    dataset: Name
    where: Where
    crop: CropRule
    size_px: Annotated[int, Field(gt=0)]

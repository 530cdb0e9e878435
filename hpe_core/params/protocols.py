"""What is trained and tested on what: datasets, protocols, tests, students, imported networks."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hpe_core.params.loading import Backbone, Name, Section, distinct

Column = Annotated[str, Field(pattern="^(split|subject|video|box_source)$")]
Where = dict[Column, Annotated[list[str], Field(min_length=1)]]  # of the face table → accepted
Students = Annotated[list[Backbone], AfterValidator(distinct)]  # trained for every protocol
Seeds = Annotated[  # every protocol is run with each
    list[Annotated[int, Field(ge=0, strict=True)]], Field(min_length=1), AfterValidator(distinct)
]


class Data(Section):
    """Where the corpora lie."""

    root: str


class Dataset(Section):
    """A corpus, in the folder of its name: which reader, and whose images mark its test split."""

    reader: Literal["300W_LP", "AFLW2000", "AFLW", "BIWI", "table"]
    split_by: Name


class Protocol(Section):
    train: Name
    where: Where
    validation: Annotated[float, Field(ge=0, le=0.5)]


class Test(Section):
    protocol: Name
    dataset: Name
    where: Where


class Leaks(Section):
    strict: bool


class Imported(Section):
    """A network published elsewhere, evaluated on one test set, with crops of its own."""

    file: str
    backbone: Backbone
    dataset: Name
    where: Where
    crop: Literal["enlarged", "published"]
    size_px: Annotated[int, Field(gt=0)]

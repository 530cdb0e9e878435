"""The names of the readers, without importing them: `hpe --help` stays quick."""

from typing import Literal

ReaderName = Literal["300W_LP", "AFLW2000", "AFLW", "BIWI", "table"]

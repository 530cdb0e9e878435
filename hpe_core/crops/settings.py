"""The section `crop` of params.yaml. What its rules do to pixels is window.py.

Imports nothing that takes time, so that `hpe --help` is quick.
"""

from dataclasses import asdict, dataclass, field
from typing import Literal

CropRule = Literal["enlarged", "published"]
BorderRule = Literal["replicate", "black"]


@dataclass(frozen=True)
class CropRules:
    """How a face is cut: what networks record of the section.

    height, width: of a network's input, pixels. margin: of a crop, on every side of these.
    """

    height: int = field(metadata={"gt": 0})
    width: int = field(metadata={"gt": 0})
    margin: int = field(metadata={"ge": 0})
    rule: CropRule
    border: BorderRule

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.height, self.width


@dataclass(frozen=True)
class CropFormat(CropRules):
    """How crops are made and stored: what a crops file records."""

    codec: Literal["raw", "jpeg", "png"]
    jpeg_quality: int = field(metadata={"ge": 1, "le": 100})

    def __post_init__(self) -> None:
        """Published has no margin."""
        if self.rule == "published" and self.margin:
            raise ValueError(f"a published crop has no margin: expected 0, found {self.margin}")

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height + 2 * self.margin, self.width + 2 * self.margin, 3


@dataclass(frozen=True)
class CropSettings(CropFormat):
    """The section as it is in params.yaml. margin: None is what the other sections need."""

    margin: int | None = field(metadata={"ge": 0})  # type: ignore[assignment]

    def with_margin(self, needed: int) -> CropFormat:
        """needed: for a margin that is not given; a published crop has none."""
        derived = 0 if self.rule == "published" else needed
        margin = derived if self.margin is None else self.margin
        return CropFormat(**{**asdict(self), "margin": margin})

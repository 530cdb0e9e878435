"""The sections `ensemble` and `sweep` of params.yaml."""

from typing import Annotated

from pydantic import Field

from hpe_core.common.settings import Precision, Section

# Of 224: a box that is moved by half its side shows another part of the image.
Offset = Annotated[int, Field(ge=0, lt=112)]


class Ensemble(Section):
    K: Offset
    d: Annotated[int, Field(gt=0)]
    rotations_deg: Annotated[list[Annotated[float, Field(ge=-45, le=45)]], Field(min_length=1)]
    flip: bool
    precision: Precision

    def kinds(self) -> dict[str, "Ensemble"]:
        """Of shifts, rotations and flip, those averaged over, each alone: name → its ensemble."""
        one_view = self.model_copy(update={"K": 0, "rotations_deg": [0.0], "flip": False})
        kinds = {
            "shifts": one_view.model_copy(update={"K": self.K if self.d <= self.K else 0}),
            "rotations": one_view.model_copy(update={"rotations_deg": self.rotations_deg}),
            "flip": one_view.model_copy(update={"flip": self.flip}),
        }
        return {kind: alone for kind, alone in kinds.items() if alone != one_view}


class Sweep(Section):
    K_max: Offset
    max_faces: Annotated[int, Field(gt=0)] | None
    seed: Annotated[int, Field(ge=0)]
    precision: Precision

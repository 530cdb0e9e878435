"""The networks that params.yaml lists."""

from pathlib import Path

from hpe_core.common.settings import load
from hpe_core.evaluation.names import BASE, ENSEMBLE, control_of, student_of
from hpe_core.evaluation.settings import Students
from hpe_core.teacher.settings import Ensemble


def trained_networks(params: Path) -> list[str]:
    """The networks with weights of their own, in the order of the tables."""
    controls = [control_of(backbone) for backbone in load(params, "controls", Students)]
    return [BASE, *controls, *map(student_of, load(params, "students", Students))]


def ensembles(params: Path) -> dict[str, Ensemble]:
    """The teacher, and, where it averages over several kinds of views, each kind alone.

    Names as `ensemble`, `ensemble-shifts`, `ensemble-flip`.
    """
    whole = load(params, "ensemble", Ensemble)
    kinds = whole.kinds()
    parts = {f"{ENSEMBLE}-{kind}": alone for kind, alone in kinds.items()}
    return {ENSEMBLE: whole, **(parts if len(kinds) > 1 else {})}


def listed_networks(params: Path) -> list[str]:
    """Every network that is measured, in the order of the tables."""
    base, *others = trained_networks(params)
    return [base, *ensembles(params), *others]

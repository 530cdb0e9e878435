"""The networks of a protocol, and whether they belong together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpe_core.common.files import sha256
from hpe_core.common.settings import load
from hpe_core.crops.store import Crops
from hpe_core.evaluation.names import is_student
from hpe_core.evaluation.networks import ensembles, trained_networks
from hpe_core.evaluation.settings import Seeds
from hpe_core.networks.checkpoints import load_network
from hpe_core.teacher.ensemble import CENTRE, Windows
from hpe_core.teacher.lineage import check_cut, check_provenance
from hpe_core.teacher.windows import windows_of


@dataclass(frozen=True)
class Candidate:
    """What to evaluate: a checkpoint, and the windows over which to average."""

    name: str
    seed: int
    path: Path
    windows: Windows


def candidates(params: Path, networks: Path) -> Iterator[Candidate]:
    """The base network, its ensembles, controls and students, with all seeds. networks: folder."""
    base, *others = trained_networks(params)
    kinds = [(base, base, CENTRE)]
    kinds += [(name, base, windows_of(grid)) for name, grid in ensembles(params).items()]
    kinds += [(name, name, CENTRE) for name in others]
    for name, stem, windows in kinds:
        for seed in load(params, "seeds", Seeds):
            yield Candidate(name, seed, networks / f"{stem}-{seed}.safetensors", windows)


def check_family(networks: Sequence[Candidate], training: Crops, tests: Sequence[Crops]) -> None:
    """Checks that the networks belong together and to all crops that they are shown.

    Raises InputError unless all were trained on these very training crops, cut in the same way as
    the test crops, and each student by the base network of its seed.
    """
    bases = {each.seed: each.path for each in networks if each.name == "base"}
    trained_on = sha256(training.path)
    for path, each in {each.path: each for each in networks}.items():
        own = load_network(path)[1]["provenance"]
        for crops in (training, *tests):
            check_cut(path, own, crops)
        check_provenance(path, own, "crops_sha256", trained_on, f"that of {training.path}")
        if is_student(each.name):
            base = bases[each.seed]
            check_provenance(path, own, "base_sha256", sha256(base), f"that of {base}")

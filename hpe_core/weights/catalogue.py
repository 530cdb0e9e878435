"""What `weights.toml` lists: weights that ship with the package, their licences and cards."""

import tomllib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Weights:
    """Weights of a network or a detector.

    file, card: in this folder; checkout: where the file lies in a checkout of the repository, from
    its root, if not here. licence: of the weights; training_data: what they have learned from.
    """

    name: str
    kind: str
    file: str
    licence: str
    training_data: str
    card: str
    checkout: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.licence}), trained on {self.training_data}"

    @property
    def path(self) -> Path:
        own = FOLDER / self.file
        return own if own.exists() or not self.checkout else FOLDER.parents[1] / self.checkout


def shipped() -> list[Weights]:
    """All of them, in the order of the file."""
    listed = tomllib.loads((FOLDER / "weights.toml").read_text(encoding="utf-8"))["weights"]
    return [Weights(**each) for each in listed]


def default_network() -> Weights:
    """The one that is opened if none is named: the first."""
    return next(each for each in shipped() if each.kind == "network")


def network_path(network: str | PathLike[str] | None = None) -> Path:
    """The file of a network.

    network: a path, or the name of a network that ships; None: `default_network`. A name that none
    has comes back as it is, for the caller's error.
    """
    if network is None:
        return default_network().path
    given = Path(network)
    named = {each.name: each.path for each in shipped() if each.kind == "network"}
    return given if given.exists() else named.get(str(network), given)

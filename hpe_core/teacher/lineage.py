"""Checks that networks, teachers and crops belong together, in case a file was replaced by hand."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256
from hpe_core.crops.store import Crops

STORAGE = ("margin", "codec", "jpeg_quality")  # crop settings that do not change what networks see


def check_trained_on(network: Path, provenance: Mapping[str, Any], crops: Path) -> None:
    """Raises InputError unless the network was trained on this very crops file."""
    check_provenance(network, provenance, "crops_sha256", sha256(crops), f"that of {crops}")


def check_cut(network: Path, provenance: Mapping[str, Any], crops: Crops) -> None:
    """Raises InputError unless the crops were detected and cut as the network's training faces."""
    own = {"crop": asdict(crops.format), "boxes": crops.origin["boxes"]}
    for name, value in own.items():
        theirs = provenance.get(name, {})
        for key in set(value) - {*STORAGE, "path"}:
            check_provenance(network, theirs, key, value[key], f"as {crops.path} has it")


def check_provenance(
    network: Path, provenance: Mapping[str, Any], name: str, expected: object, whose: str
) -> None:
    """Raises InputError that names both values unless `name` is as expected, as in `whose`."""
    found = provenance.get(name)
    if found != expected:
        raise InputError(
            f"{network}: made with {name} = {found!r}, but {expected!r} is expected, {whose}; run "
            "the stages that make them again"
        )

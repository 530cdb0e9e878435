"""Networks, teachers and crops belong together: what was put in place by hand gives no number."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpe_core.errors import InputError
from hpe_core.io.crops import Crops
from hpe_core.io.files import sha256

STORAGE = ("margin", "codec", "jpeg_quality")  # of crops: they do not change what a network sees


def check_trained_on(network: Path, provenance: Mapping[str, Any], crops: Path) -> None:
    """Raises InputError unless the network was trained on just this crops file."""
    expect(network, provenance, "crops_sha256", sha256(crops), f"that of {crops}")


def check_cut(network: Path, provenance: Mapping[str, Any], crops: Crops) -> None:
    """Raises InputError unless these faces were found and cut as the network's were."""
    own = {"crop": asdict(crops.format), "boxes": crops.origin["boxes"]}
    for name, value in own.items():
        theirs = provenance.get(name, {})
        for key in set(value) - {*STORAGE, "path"}:
            expect(network, theirs, key, value[key], f"as {crops.path} has it")


def expect(
    network: Path, provenance: Mapping[str, Any], name: str, expected: object, whose: str
) -> None:
    """Raises InputError naming both values unless the provenance of a network has this one."""
    found = provenance.get(name)
    if found != expected:
        raise InputError(
            f"{network}: made with {name} = {found!r}, but {expected!r} is expected, {whose}; run "
            "the stages that make them again"
        )

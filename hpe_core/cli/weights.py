"""`hpe weights`: what ships with the package, under which licence."""

from dataclasses import dataclass

from hpe_core.cli.options import JsonOption, print_each


@dataclass(frozen=True)
class _Listed:
    name: str
    kind: str
    licence: str
    training_data: str
    mb: float
    sha256: str
    file: str
    card: str


def weights(as_json: JsonOption = False) -> None:
    """List the networks and detectors that ship with the package.

    For each its licence, the data it was trained on, its size, its sha256, its file, and its model
    card: what it is good for, and how far off it is. `--network NAME` takes a network of these; the
    first is used where none is named.
    """
    from hpe_core.common.files import sha256
    from hpe_core.weights.catalogue import FOLDER, shipped

    listed = [
        _Listed(
            each.name, each.kind, each.licence, each.training_data,
            round(each.path.stat().st_size / 1e6, 1), sha256(each.path),
            str(each.path), str(FOLDER / each.card),
        )
        for each in shipped()
    ]  # fmt: skip
    print_each(listed, as_json, _lines)


def _lines(each: _Listed) -> str:
    rows = {
        "licence": each.licence,
        "trained on": each.training_data,
        "sha256": each.sha256,
        "file": each.file,
        "card": each.card,
    }
    head = f"{each.name}: {each.kind}, {each.mb} MB"
    return "\n".join([head, *(f"    {name:<10} {value}" for name, value in rows.items())])

"""Options that several commands have."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")  # that torch has without a plug-in


def _device(name: str) -> str:
    if not _DEVICE.fullmatch(name):
        raise typer.BadParameter(f"{name!r}; expected cpu, cuda, cuda:1, … or mps.")
    return name


Detector = Annotated[
    Path | None,
    typer.Option(help="A YOLOv5 export, .onnx.  [default: the one of the network's training]"),
]
Reader = Annotated[
    Literal["300W_LP", "AFLW2000", "AFLW", "BIWI", "table"],
    typer.Option(
        case_sensitive=False,
        metavar="LAYOUT",
        help="That of --corpus: 300W_LP, AFLW2000, AFLW, BIWI, or table, with a faces.csv.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=VALUE",
        help="Take only faces of --corpus with this split, subject or video. May be repeated.",
        show_default=False,
    ),
]
BoxesOf = Annotated[
    Literal["detector", "annotated"],
    typer.Option("--boxes", help="Take the boxes that a detector finds in --corpus, or its own."),
]
NO_DETECTOR = "--detector finds no annotated boxes; give one of the two."
Device = Annotated[
    str, typer.Option(callback=_device, help="Where the network runs: cpu, cuda, cuda:1, … or mps.")
]


def check_params(params: Path) -> None:
    """Raises BadParameter where the params file is missing: a command was started elsewhere."""
    if not params.exists():
        raise typer.BadParameter(
            f"{params}: no such file; start at the project's root, or give --params."
        )

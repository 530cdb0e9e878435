"""Options, checks and output that several commands share."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from hpe_core.corpora.names import ReaderName

_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d+)?")  # those of torch without plug-ins


_PUBLISHED = [name for name in get_args(ReaderName) if name != "table"]


def _device(name: str) -> str:
    if not _DEVICE.fullmatch(name):
        raise typer.BadParameter(f"{name!r}; expected cpu, cuda, cuda:1, … or mps.")
    return name


def _field_of_view(degrees: float | None) -> float | None:
    if degrees is not None and not 0 < degrees < 180:
        raise typer.BadParameter(f"--fov is {degrees:g}; expected degrees between 0 and 180.")
    return degrees


DetectorOption = Annotated[
    Path | None,
    typer.Option(
        help="A face detector: a YOLOv5 export, .onnx.  [default: that in the network's file]"
    ),
]
NetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAME",
        help="A network: .onnx of `hpe export`, .safetensors, or a name of `hpe weights`.  "
        "[default: the first of `hpe weights`]",
    ),
]
ReaderOption = Annotated[
    ReaderName,
    typer.Option(
        case_sensitive=False,
        metavar="LAYOUT",
        help=f"The layout of --corpus: {', '.join(_PUBLISHED)}, or table (a faces.csv).",
    ),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=VALUE",
        help="Take only faces of --corpus with this split, subject or video. May be repeated.",
        show_default=False,
    ),
]
BoxesOption = Annotated[
    Literal["detector", "annotated"],
    typer.Option(
        "--boxes", help="Take the boxes that a detector finds in --corpus, or the annotated ones."
    ),
]
DeviceOption = Annotated[
    str, typer.Option(callback=_device, help="The network's device: cpu, cuda, cuda:1, … or mps.")
]
FovOption = Annotated[
    float | None,
    typer.Option(
        "--fov",
        metavar="DEGREES",
        callback=_field_of_view,
        help="The angle that the images' width covers: poses in the camera's frame, not as seen "
        "along the ray to each face.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON array instead of text.")]


def print_each(items: Iterable[Any], as_json: bool, line: Callable[[Any], str]) -> list[Any]:
    """Prints the `line` of each dataclass as it comes, or all as one JSON array at the end."""
    found = []
    for item in items:
        found.append(item)
        if not as_json:
            print(line(item))
    if as_json:
        print(json.dumps([asdict(item) for item in found], indent=1))
    return found


def accepted_values(where: Sequence[str] | None) -> dict[str, list[str]]:
    """--where as column → accepted values. Raises BadParameter."""
    accepted: dict[str, list[str]] = {}
    for word in where or []:
        column, equals, value = word.partition("=")
        if not equals or column not in ("split", "subject", "video"):
            raise typer.BadParameter(
                f"--where is {word}; expected split=, subject= or video=, and a value."
            )
        accepted.setdefault(column, []).append(value)
    return accepted


def multiple_of_32(value: int | None) -> int | None:
    """A callback of --input-px."""
    if value is not None and value % 32:
        raise typer.BadParameter(f"--input-px is {value}; expected a multiple of 32.")
    return value


def check_detector(detector: Path | None, boxes: str) -> None:
    """Raises BadParameter for a detector beside annotated boxes."""
    if detector and boxes == "annotated":
        raise typer.BadParameter("--detector is not used with --boxes annotated; give one of them.")


def check_params(params: Path) -> None:
    """Raises BadParameter where the params file is missing."""
    if not params.exists():
        raise typer.BadParameter(
            f"{params}: no such file; run at the project's root, or give --params."
        )

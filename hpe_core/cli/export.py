"""`hpe export`: a network as an ONNX file, which runs without this project."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from hpe_core.cli._outputs import check_name
from hpe_core.errors import InputError

_NEEDED = ("onnx", "onnxscript")  # the extra `export`


def export(
    network: Annotated[
        Path, typer.Argument(metavar="NETWORK", help="A trained network, .safetensors.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="The file to write, .onnx.")],
    opset: Annotated[
        int, typer.Option(min=18, max=23, help="Of ONNX: the lower, the older runtimes may be.")
    ] = 18,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write NAME.int8.onnx, too: small and quick.")
    ] = False,
    crops: Annotated[
        Path | None,
        typer.Option(help="A test set's crops, .h5: to calibrate and measure int8, check parity."),
    ] = None,
) -> None:
    """Write a network as ONNX and check that it says what PyTorch says.

    The file takes uint8 RGB faces (batch, height, width, 3), normalises them, and gives angles and
    their standard deviations in degrees, and the bins' probabilities. Its metadata say how faces
    are found and cut for it. It is not written if an angle is off by more than 0.01°.

    int8 is calibrated on some of the crops; the MAE of both is that of the others.
    """
    check_name(out, [".onnx"])
    if int8 and crops is None:
        raise typer.BadParameter("--int8 needs --crops: faces to calibrate and to measure it.")
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise InputError(
            f"hpe export needs packages that are not here; pip install {' '.join(missing)}"
        )
    from hpe_core.cli import _exported  # torch takes seconds

    for line in _exported.export(network, out, opset, crops, int8):
        print(line, flush=True)

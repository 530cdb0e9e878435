"""`hpe export`: a network as an ONNX file, which runs without this project."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from hpe_core.cli._options import NO_DETECTOR, BoxesOf, Detector, Reader, Where
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
        int, typer.Option(min=18, max=23, help="The ONNX opset; old runtimes take low ones only.")
    ] = 18,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write NAME.int8.onnx, too: smaller and faster.")
    ] = False,
    crops: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Faces for int8: a test set's crops, .h5, of `dvc repro`."
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Faces for int8: any labelled corpus, as in `hpe evaluate`."
        ),
    ] = None,
    reader: Reader = "table",
    where: Where = None,
    boxes: BoxesOf = "detector",
    detector: Detector = None,
) -> None:
    """Write a network as ONNX, checked against PyTorch.

    The file takes uint8 RGB faces (batch, height, width, 3), normalises them, and gives angles and
    their standard deviations in degrees, and the bins' probabilities. Its metadata say how faces
    are found and cut for it. It is not written if an angle is off by more than 0.01°.

    --int8 needs labelled faces, of --crops or --corpus: some calibrate it, and the MAE of both
    files is that of the others. Take none that the network was trained on.
    """
    check_name(out, [".onnx"])
    if crops and corpus:
        raise typer.BadParameter("give --crops or --corpus, and not both.")
    if corpus is None and (where or detector or boxes == "annotated" or reader != "table"):
        raise typer.BadParameter("--reader, --where, --boxes and --detector are for --corpus.")
    if detector and boxes == "annotated":
        raise typer.BadParameter(NO_DETECTOR)
    if int8 and not (crops or corpus):
        raise typer.BadParameter(
            "--int8 needs faces to calibrate and to measure it: --crops, or --corpus."
        )
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise InputError(
            f"hpe export needs packages that are not here; pip install {' '.join(missing)}"
        )
    from hpe_core.cli import _exported  # torch takes seconds

    source = _exported.of_crops(crops) if crops else None
    if corpus:
        source = _exported.of_corpus(network, corpus, reader, where or [], boxes, detector)
    for line in _exported.export(network, out, opset, source, int8):
        print(line, flush=True)

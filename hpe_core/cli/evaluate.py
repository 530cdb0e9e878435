"""`hpe evaluate`: how far off a network is, on a test set of the project or on any corpus."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from hpe_core.cli._options import (
    NO_DETECTOR,
    BoxesOf,
    Detector,
    Device,
    Reader,
    Where,
    check_params,
)
from hpe_core.cli._outputs import SUFFIXES, check_name, check_no_input


def evaluate(
    network: Annotated[
        Path,
        typer.Argument(
            metavar="NETWORK",
            help="One of ours (.safetensors, or exported: .onnx), or a published .pth.",
        ),
    ],
    *,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A test set of --params, with the faces that `dvc repro` found."
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Any labelled corpus; its faces are looked for first."),
    ] = None,
    reader: Reader = "table",
    where: Where = None,
    boxes: BoxesOf = "detector",
    detector: Detector = None,
    params: Annotated[
        Path, typer.Option(help="The params file of --test, or of a .pth, for its boxes.")
    ] = Path("params.yaml"),
    backbone: Annotated[
        str | None, typer.Option(help="The backbone of a .pth: resnet18, resnet50, …")
    ] = None,
    crop: Annotated[
        Literal["published", "enlarged"] | None,
        typer.Option(help="How faces are cut for a .pth.  [default: published]"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="The input side of a .pth, pixels.  [default: 224]")
    ] = None,
    device: Device = "cpu",
    form: Annotated[
        Literal["text", "json", "csv"], typer.Option("--format", help="How the errors are printed.")
    ] = "text",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a row for each face: .csv, .json or .parquet.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure a network's errors on labelled faces, in degrees.

    Faces are cut as the network's file says, so that the errors are those of metrics/tests. MAE is
    the mean over faces of |pitch|, |yaw| and |roll| errors, then the mean of the three; geodesic
    the angle of the rotation between prediction and label. Faces that are not found, cannot be
    read or lie beyond the network's ±99° are not in it: they are counted.
    """
    if (test is None) == (corpus is None):
        raise typer.BadParameter("give --test or --corpus, and not both.")
    if test is not None and (where or detector or boxes == "annotated"):
        raise typer.BadParameter("--where, --boxes and --detector are for --corpus.")
    if network.suffix != ".pth" and (backbone or crop or size):
        raise typer.BadParameter("--backbone, --crop and --size are for a .pth.")
    if network.suffix == ".onnx" and device != "cpu":
        raise typer.BadParameter(f"--device is {device}; an .onnx runs on the cpu here.")
    if detector and boxes == "annotated":
        raise typer.BadParameter(NO_DETECTOR)
    if test is not None or network.suffix == ".pth":
        check_params(params)
    if out is not None:
        check_name(out, SUFFIXES)
    from hpe_core.cli import _evaluated, _labelled, _networks  # torch takes seconds

    opened = _networks.open_network(network, device, backbone, crop or "published", size or 224)
    if test is not None:
        faces = _labelled.of_test(params, test, opened)
    else:
        assert corpus is not None
        chosen = _labelled.where_of(where or [])
        rules = _labelled.box_rules(opened, params, boxes, detector)
        faces = _labelled.of_corpus(corpus, reader, chosen, rules, opened.theta_deg)
    if out is not None:
        check_no_input(out, [network, detector, params, *_labelled.tables_of(corpus)])
    predicted = _evaluated.predicted(opened, faces)
    errors = _evaluated.errors_of(opened, faces, predicted)
    if out is not None:
        _evaluated.write(predicted, out)
    sys.stdout.write(_evaluated.shown(errors, form))

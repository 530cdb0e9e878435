"""`hpe evaluate`: a network's errors on a test set of the project, or on any corpus."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from hpe_core.cli.options import (
    BoxesOption,
    DetectorOption,
    DeviceOption,
    FovOption,
    ReaderOption,
    WhereOption,
    accepted_values,
    check_detector,
    check_params,
)
from hpe_core.crops.settings import CropRule
from hpe_core.inference.paths import TABLE_SUFFIXES, check_name, check_no_input
from hpe_core.weights.catalogue import network_path


def evaluate(
    network: Annotated[
        Path,
        typer.Argument(
            metavar="NETWORK",
            help="A trained network (.safetensors), an exported .onnx, a published .pth, or one of "
            "`hpe weights`.",
        ),
    ],
    *,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A test set in --params, with the faces that `dvc repro` found."
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Any labelled corpus; its faces are detected first."),
    ] = None,
    reader: ReaderOption = "table",
    where: WhereOption = None,
    boxes: BoxesOption = "detector",
    detector: DetectorOption = None,
    params: Annotated[
        Path, typer.Option(help="The params file: for --test, and for the box rules of a .pth.")
    ] = Path("params.yaml"),
    backbone: Annotated[
        str | None, typer.Option(help="The backbone of a .pth: resnet18, resnet50, …")
    ] = None,
    crop: Annotated[
        CropRule | None,
        typer.Option(help="How to cut faces for a .pth.  [default: published]"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="The input side of a .pth in pixels.  [default: 224]")
    ] = None,
    fov: FovOption = None,
    device: DeviceOption = "cpu",
    form: Annotated[
        Literal["text", "json", "csv"],
        typer.Option("--format", help="The format of what is printed."),
    ] = "text",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write one row per face to this .csv, .json or .parquet file.",
            show_default=False,
        ),
    ] = None,
    frame: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the constant rotation that best maps predictions to labels to this .json, "
            "for `hpe export --frame`.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure a network's errors on labelled faces, in degrees.

    Faces are cut as in the network's training, so the errors equal those in metrics/tests. MAE is
    the mean absolute error of pitch, yaw and roll, averaged over the three. Geodesic is the angle
    of the rotation between prediction and label. Aligned is the MAE without the constant rotation
    between the training's and these labels' frames of the head, fitted on the other half of the
    faces. Faces that cannot be read, are not found, or lie beyond the network's ±99° are left out,
    and counted.
    """
    if (test is None) == (corpus is None):
        raise typer.BadParameter("give --test or --corpus, and not both.")
    if test is not None and (where or detector or boxes == "annotated"):
        raise typer.BadParameter("--where, --boxes and --detector are for --corpus.")
    network = network_path(network)
    if network.suffix != ".pth" and (backbone or crop or size):
        raise typer.BadParameter("--backbone, --crop and --size are for a .pth.")
    if network.suffix == ".onnx" and device != "cpu":
        raise typer.BadParameter(f"--device is {device}; an .onnx runs on the cpu here.")
    check_detector(detector, boxes)
    if test is not None or network.suffix == ".pth":
        check_params(params)
    if out is not None:
        check_name(out, TABLE_SUFFIXES)
    if frame is not None:
        check_name(frame, [".json"], option="--frame")
    # torch takes seconds
    from hpe_core.inference import labelled_faces, measure
    from hpe_core.inference.head_frame import write_frame
    from hpe_core.runtime.network import open_network

    opened = open_network(network, device, backbone, crop or "published", size or 224)
    if test is not None:
        faces = labelled_faces.test_set_faces(params, test, opened)
    else:
        assert corpus is not None
        chosen = labelled_faces.CorpusChoice(
            corpus, reader, accepted_values(where), boxes, detector
        )
        faces = labelled_faces.corpus_faces(chosen, opened, params)
    for option, written in {"--out": out, "--frame": frame}.items():
        read = [network, detector, params, *labelled_faces.tables_read(corpus)]
        if written is not None:
            check_no_input(written, read, option)
    predicted = measure.predict_faces(opened, faces, fov)
    errors = measure.measured_errors(opened, faces, predicted)
    if out is not None:
        measure.write_faces(predicted, out)
    if frame is not None:
        write_frame(network, faces.name, predicted, frame)
    sys.stdout.write(measure.formatted_errors(errors, form))

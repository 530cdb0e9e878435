"""`hpe export`: a network as an ONNX file that runs without this project."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from hpe_core.cli.options import (
    BoxesOption,
    DetectorOption,
    ReaderOption,
    WhereOption,
    accepted_values,
    check_detector,
    multiple_of_32,
)
from hpe_core.common.errors import InputError
from hpe_core.inference.paths import check_name


def export(
    network: Annotated[
        Path, typer.Argument(metavar="NETWORK", help="A trained network, .safetensors.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="The file to write, .onnx.")],
    opset: Annotated[
        int,
        typer.Option(min=18, max=23, help="The ONNX opset; old runtimes know only low ones."),
    ] = 18,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write NAME.int8.onnx, which is smaller and faster.")
    ] = False,
    crops: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Faces for int8: crops of `dvc repro`, .h5, of a test set, or of a training set "
            "with validation faces, of which those are taken.",
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Faces for int8: any labelled corpus, as in `hpe evaluate`."
        ),
    ] = None,
    reader: ReaderOption = "table",
    where: WhereOption = None,
    boxes: BoxesOption = "detector",
    detector: DetectorOption = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Multiply the std by the network's factors in this calibration.csv, of "
            "metrics/protocols.",
        ),
    ] = None,
    frame: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Turn all angles into another corpus's frame of the head, as fitted by "
            "`hpe evaluate --frame` for this network.",
        ),
    ] = None,
    found_by: Annotated[
        Path | None,
        typer.Option(
            metavar="DETECTOR",
            help="A YOLOv5 export (.onnx) that finds the faces from now on, instead of the "
            "training's boxes.",
        ),
    ] = None,
    input_px: Annotated[
        int,
        typer.Option(
            min=32,
            max=8192,
            callback=multiple_of_32,
            help="The side of its input, a multiple of 32.",
        ),
    ] = 640,
    score: Annotated[
        float, typer.Option(min=0, max=1, help="The least score of a face that it finds.")
    ] = 0.3,
    box_scale: Annotated[
        float,
        typer.Option(
            min=0.1, max=10, help="Its boxes' sides are multiplied by this, to fit the training's."
        ),
    ] = 1.0,
    licence: Annotated[
        str | None, typer.Option(help="For the metadata: the licence of the weights.")
    ] = None,
    training_data: Annotated[
        str | None, typer.Option(help="For the metadata: what the network was trained on.")
    ] = None,
) -> None:
    """Write a network as ONNX, checked against PyTorch.

    The model takes uint8 RGB faces (batch, height, width, 3) and normalises them. It outputs angles
    and their standard deviations in degrees, and the probabilities of the bins. Its metadata says
    how to find and cut faces for it. No file is written if an angle differs by more than 0.01°.

    --int8 needs labelled faces, from --crops or --corpus. Some of them calibrate the int8 model;
    the MAE of both models is measured on the others. Take faces that the network was not trained
    on.
    """
    check_name(out, [".onnx"])
    if crops and corpus:
        raise typer.BadParameter("give --crops or --corpus, and not both.")
    if corpus is None and (where or detector or boxes == "annotated" or reader != "table"):
        raise typer.BadParameter("--reader, --where, --boxes and --detector are for --corpus.")
    check_detector(detector, boxes)
    if found_by is None and (input_px, score, box_scale) != (640, 0.3, 1.0):
        raise typer.BadParameter("--input-px, --score and --box-scale are for --found-by.")
    if int8 and not (crops or corpus):
        raise typer.BadParameter(
            "--int8 needs faces to calibrate and measure it: give --crops or --corpus."
        )
    if missing := [name for name in ("torch", "onnx", "onnxscript") if find_spec(name) is None]:
        raise InputError(
            f"exporting needs {', '.join(missing)}, which predicting does not: "
            "pip install 'hpe-offset-ensemble[pipeline,export]'"
        )
    # torch takes seconds
    from hpe_core.inference.export import (
        FoundBy,
        Stated,
        export_onnx,
        faces_of_corpus,
        faces_of_crops,
    )
    from hpe_core.inference.labelled_faces import CorpusChoice

    source = faces_of_crops(crops) if crops else None
    if corpus:
        choice = CorpusChoice(corpus, reader, accepted_values(where), boxes, detector)
        source = faces_of_corpus(network, choice)
    finder = FoundBy(found_by, input_px, score, box_scale) if found_by else None
    stated = Stated(calibration, frame, finder, licence, training_data)
    for line in export_onnx(network, out, opset, source, int8, stated):
        print(line, flush=True)

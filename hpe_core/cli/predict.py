"""`hpe predict`: a table of the faces in images, folders, videos or a camera, and drawings."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from hpe_core.cli.options import (
    DetectorOption,
    DeviceOption,
    FovOption,
    NetworkOption,
    multiple_of_32,
)
from hpe_core.inference.paths import STREAM, TABLE_SUFFIXES, check_name, check_no_input, find_media

Form = Literal["csv", "json", "parquet"]
_FORMS: dict[str, Form] = {".json": "json", ".parquet": "parquet"}


def predict(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Images, folders of images, videos, or numbered frames (f/%05d.png) as one.",
            show_default=False,
        ),
    ] = None,
    *,
    network: NetworkOption = None,
    detector: DetectorOption = None,
    device: DeviceOption = "cpu",
    score: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least score of a face.  [default: that in the network's file]"
        ),
    ] = None,
    input_px: Annotated[
        int | None,
        typer.Option(
            min=32,
            max=8192,
            callback=multiple_of_32,
            help="Side of the detector's input, a multiple of 32; more pixels find smaller faces.  "
            "[default: that in the network's file]",
        ),
    ] = None,
    border: Annotated[
        float,
        typer.Option(
            min=0, max=2, help="Margin for images that a face fills, in shares of the longer side."
        ),
    ] = 0.0,
    tiles: Annotated[
        int,
        typer.Option(
            min=1, max=16, help="Search N x N overlapping parts, too: faces in a large crowd."
        ),
    ] = 1,
    turns: Annotated[
        int,
        typer.Option(
            min=1,
            max=36,
            help="For heads that lean or lie: search so many turned copies of each image, too.",
        ),
    ] = 1,
    fov: FovOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the table to this file, or into this folder.  [default: stdout]"),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option("--format", help="The table's format.  [default: that of --out, or csv]"),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write each image or video with boxes and axes here."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Also read the images in subfolders.")
    ] = False,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|URL",
            help="Read this camera (0, 1, …) or stream (rtsp://…, http://…) until Ctrl-C, "
            "instead of PATHs.",
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option("--show", help="Show a video's or camera's faces in a window; q ends it."),
    ] = False,
    smooth: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Smooth the poses in a video: exponential mean over this time.",
        ),
    ] = None,
    detect_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="In a video, look for new faces in every N-th frame, and follow those found; 1 "
            "searches every frame whole.  [default: 10]",
        ),
    ] = None,
) -> None:
    """Find faces and estimate their poses, one row per face.

    Angles are in degrees: pitch (positive: down), yaw (positive: to the left of the image) and roll
    (positive: clockwise). The std_… columns are the network's uncertainty. Boxes are in pixels. The
    faces of an image are numbered by falling score; in a video a face keeps its number.

    Files that cannot be read are named on stderr and skipped; the exit code is then 1.
    """
    if bool(paths) == (camera is not None):
        raise typer.BadParameter("give PATHs or --camera, and not both.")
    if any(STREAM.match(str(path)) for path in paths or []):
        raise typer.BadParameter("a PATH is the address of a stream: give it as --camera.")
    if smooth is not None and not smooth > 0:
        raise typer.BadParameter(f"--smooth is {smooth:g}; expected seconds > 0.")
    if turns > 1 and detect_every is not None:
        raise typer.BadParameter("--turns searches every frame whole: leave --detect-every out.")
    if draw and any(path.is_file() for path in (draw, *draw.parents)):
        raise typer.BadParameter(f"--draw is {draw}, a file; expected a folder.")
    form, out = _table_file(form, out)
    # OpenCV and ONNX Runtime take a moment, torch seconds
    from hpe_core.faces.images import frame_count
    from hpe_core.inference.predict_files import plan_run
    from hpe_core.inference.row_files import write_rows
    from hpe_core.predictor import HeadPose
    from hpe_core.weights.catalogue import default_network, network_path

    media = find_media(paths or [], recursive, lambda path: frame_count(path) > 0)
    run = plan_run(media, camera, draw, smooth, detect_every, show)
    opened = network_path(network)
    head_pose = HeadPose.load(
        opened,
        detector,
        device,
        score=score,
        input_px=input_px,
        border=border,
        tiles=tiles,
        turns=turns,
        fov_deg=fov,
    )
    if out is not None:
        found_by = [head_pose.detector.path] if head_pose.detector else []
        check_no_input(out, [*media.names, opened, *found_by])
    if network is None:
        print(f"network: {default_network()}", file=sys.stderr)
    write_rows(run.rows(head_pose), run.columns, form, out or sys.stdout)
    print(run.tally, file=sys.stderr)
    if media.note:
        print(media.note, file=sys.stderr)
    raise typer.Exit(run.tally.unreadable > 0)


def _table_file(given: Form | None, out: Path | None) -> tuple[Form, Path | None]:
    """The table's format and file, as --format and --out say. Raises BadParameter."""
    form = given or _FORMS.get(out.suffix.lower() if out else "", "csv")
    if form == "parquet" and out is None:
        raise typer.BadParameter("parquet cannot go to stdout: give --out a file.")
    if out is not None:
        out = out / f"predictions.{form}" if out.is_dir() else out
        check_name(out, None if given else TABLE_SUFFIXES, ", or a folder, or give --format")
    return form, out

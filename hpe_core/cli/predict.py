"""`hpe predict`: images, folders, videos or a camera → a table of faces, and pictures of them."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from hpe_core.cli._options import Detector, Device
from hpe_core.cli._outputs import SUFFIXES, check_name, check_no_input


def predict(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="Images, folders of images, or videos.", show_default=False
        ),
    ] = None,
    *,
    network: Annotated[Path, typer.Option(help="A trained network, .safetensors.")],
    detector: Detector = None,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(help="Write the table to this file, or into this folder.  [default: stdout]"),
    ] = None,
    form: Annotated[
        Literal["csv", "json", "parquet"] | None,
        typer.Option("--format", help="The table's format.  [default: as --out ends, or csv]"),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write each image or video with boxes and axes here."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Take the images of folders in folders, too.")
    ] = False,
    camera: Annotated[
        int | None, typer.Option(help="Read a camera, from 0, instead of PATHs, until Ctrl-C.")
    ] = None,
    smooth: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Smooth poses of a video: an exponential mean over this time."
        ),
    ] = None,
) -> None:
    """Find faces and tell their poses, as a table with a row for each.

    Angles, in degrees, are pitch (positive: down), yaw (positive: to the left of the image) and
    roll (positive: clockwise); std_…: how sure the network is. Boxes are in pixels. Faces of an
    image are numbered from the surest; in a video a face keeps its number from frame to frame.

    What cannot be read is named on stderr, the rest goes on, and the exit code is 1.
    """
    if bool(paths) == (camera is not None):
        raise typer.BadParameter("give PATHs or --camera, and not both.")
    if smooth is not None and not smooth > 0:
        raise typer.BadParameter(f"--smooth is {smooth:g}; expected seconds > 0.")
    if draw and any(path.is_file() for path in (draw, *draw.parents)):
        raise typer.BadParameter(f"--draw is {draw}, a file; expected a folder.")
    given, form = form, form or _format_of(out)
    if form == "parquet" and out is None:
        raise typer.BadParameter("parquet is no text: give --out a file.")
    if out is not None:
        out = out / f"predictions.{form}" if out.is_dir() else out
        check_name(out, None if given else SUFFIXES, ", or a folder, or give --format")
    from hpe_core.cli import _predicted  # torch takes seconds

    sources = _predicted.sources_of(paths or [], recursive)
    run = _predicted.run_of(sources, camera, draw, smooth)
    head_pose = _predicted.HeadPose.load(network, detector, device)
    if out is not None:
        used = [head_pose.detector.path] if head_pose.detector else []
        check_no_input(out, [*sources.names, network, *used])
    rows = run.rows(head_pose)
    _predicted.write_rows(rows, run.columns, form, out or sys.stdout)
    print(run.tally, file=sys.stderr)
    if sources.videos:
        print(f"ignored: {sources.ignored}; a video is to be named itself", file=sys.stderr)
    raise typer.Exit(run.tally.unreadable > 0)


def _format_of(out: Path | None) -> Literal["csv", "json", "parquet"]:
    suffix = out.suffix.lower() if out else ""
    return "json" if suffix == ".json" else "parquet" if suffix == ".parquet" else "csv"

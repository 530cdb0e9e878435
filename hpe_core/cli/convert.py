"""`hpe convert`: poses between the conventions of the field, as arguments or as a table."""

import sys
from typing import Annotated

import typer


def convert(
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NUMBER", help="One pose.  [default: a csv from stdin]"),
    ] = None,
    *,
    source: Annotated[str, typer.Option("--from", metavar="CONVENTION", help="What is given.")],
    target: Annotated[str, typer.Option("--to", metavar="CONVENTION", help="What is written.")],
) -> None:
    """Write poses in another convention.

    Numbers on the command line give one line of numbers. Otherwise csv goes from stdin to stdout:
    the columns named after the convention are replaced, all others stay.

    \b
    pyr         pitch, yaw, roll in degrees, R = Rx(pitch)·Ry(yaw)·Rz(roll): what
                `hpe predict` writes
    300W_LP, AFLW2000
                pitch, yaw, roll of Pose_Para, radians, pitch upwards
    AFLW        pitch, yaw, roll of FacePose, radians, pitch upwards,
                roll counterclockwise
    BIWI, matrix
                r11 … r33: the rotation matrix R, row by row
    quaternion  qx, qy, qz, qw
    rotvec      rx, ry, rz: the rotation axis, as long as the angle in radians
    XYZ, ZYX, ZXZ and the nine other orders
                angle1, angle2, angle3: intrinsic Euler angles, degrees
    xyz, zyx, zxz and the nine other orders
                angle1, angle2, angle3: extrinsic Euler angles, degrees

    R takes the head's axes (its right-hand side as seen in the image, the chin, the back of the
    head) to the camera's (x right, y down, z into the scene). Where one rotation has several
    triples of angles, yaw comes within ±90°, or as it was given where both are pitch, yaw, roll.
    """  # noqa: D301 (\b keeps the lines of a paragraph)
    from hpe_core.cli import _converted  # NumPy and pandas take a moment

    pair = _converted.convention(source), _converted.convention(target)
    if values:
        print(*_converted.numbers(values, *pair))
    else:
        _converted.table(sys.stdin, *pair).to_csv(sys.stdout, index=False, lineterminator="\n")

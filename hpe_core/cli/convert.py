"""`hpe convert`: poses in other conventions of the field, as arguments or as a table."""

import sys
from typing import Annotated

import typer


def convert(
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NUMBER", help="One pose.  [default: a csv from stdin]"),
    ] = None,
    *,
    source: Annotated[str, typer.Option("--from", metavar="CONVENTION", help="Input convention.")],
    target: Annotated[str, typer.Option("--to", metavar="CONVENTION", help="Output convention.")],
) -> None:
    """Write poses in another convention.

    Numbers on the command line are one pose. Without them, reads a csv from stdin and writes it to
    stdout, with the columns of --from replaced by those of --to; all other columns stay.

    \b
    pyr         pitch, yaw, roll in degrees, R = Rx(pitch)·Ry(yaw)·Rz(roll): what
                `hpe predict` writes
    300W_LP, AFLW2000
                pitch, yaw, roll of Pose_Para, radians, pitch upwards
    AFLW        pitch, yaw, roll of FacePose, radians, pitch upwards,
                roll counterclockwise
    BIWI, matrix
                r11 … r33: the rotation matrix R, row by row
    hopenet     pitch, yaw, roll in degrees, pitch upwards
    opengl, arkit
                r11 … r33 with x right, y up, z to the viewer
    unity       euler_x, euler_y, euler_z of Quaternion.Euler, degrees
    quaternion  qx, qy, qz, qw
    quaternion_wxyz
                qw, qx, qy, qz
    6d          r11, r21, r31, r12, r22, r32: the first two columns of R
    rotvec      rx, ry, rz: the rotation axis, as long as the angle in radians
    XYZ, ZYX, ZXZ and the nine other orders
                angle1, angle2, angle3: intrinsic Euler angles, degrees
    xyz, zyx, zxz and the nine other orders
                angle1, angle2, angle3: extrinsic Euler angles, degrees

    R maps the head's frame (x: its right-hand side as seen in the image, y: the chin, z: the back
    of the head) to the camera's (x right, y down, z into the scene). Of the several triples of
    angles of a rotation, the one with yaw within ±90° is written; between conventions of pitch,
    yaw, roll, yaw stays as given.
    """  # noqa: D301 (\b keeps the lines of a paragraph)
    # NumPy and pandas take a moment
    from hpe_core.inference.convert import convention_called, convert_table, convert_words

    given, wanted = convention_called(source), convention_called(target)
    if values:
        print(*convert_words(values, given, wanted))
    else:
        table = convert_table(sys.stdin, given, wanted)
        table.to_csv(sys.stdout, index=False, lineterminator="\n")

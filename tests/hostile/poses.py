"""Labels of BIWI: each case writes one frame_00099_pose.txt, `path`, beside a good image."""

import os
from pathlib import Path

from hostile.case import accepted, row

GOOD = "1 0 0\n0 1 0\n0 0 1\n\n1 2 3\n"


@accepted
def carriage_returns_tabs_and_blank_lines(path: Path) -> None:
    path.write_bytes(b"1\t0 0\r\n0 1 0\r\n\r\n0 0 1 \r\n\r\n\r\n1 2 3")


@row("frame_00099_pose.txt", "expected four rows of 3 numbers, found 3 + 3 + 3")
def a_row_is_missing(path: Path) -> None:
    path.write_text("1 0 0\n0 1 0\n\n1 2 3\n")


@row("frame_00099_pose.txt", "expected four rows of 3 numbers, found none")
def zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


@row("frame_00099_pose.txt", "numbers")
def decimal_commas(path: Path) -> None:
    path.write_text(GOOD.replace("1 0 0", "1,0 0,0 0,0"))


@row("frame_00099_pose.txt", "numbers")
def values_apart_by_commas(path: Path) -> None:
    path.write_text(GOOD.replace(" ", ","))


@row("frame_00099_pose.txt", "numbers")
def arabic_digits(path: Path) -> None:
    """`float` would read them."""
    path.write_text(GOOD.replace("1", "١"), encoding="utf-8")


@row("frame_00099_pose.txt", "reflection")
def a_reflection(path: Path) -> None:
    path.write_text("1 0 0\n0 1 0\n0 0 -1\n\n1 2 3\n")


@row("frame_00099_pose.txt", "expected a rotation matrix, found one that is off by 0.")
def not_orthonormal(path: Path) -> None:
    path.write_text("1 0.4 0\n0 1 0\n0 0 1\n\n1 2 3\n")


@row("frame_00099_pose.txt", "rotation")
def all_zeros(path: Path) -> None:
    path.write_text("0 0 0\n0 0 0\n0 0 0\n\n1 2 3\n")


@row("frame_00099_pose.txt", "non-finite rotation matrix")
def nan(path: Path) -> None:
    path.write_text(GOOD.replace("1 0 0", "1 nan 0"))


@row("frame_00099_pose.txt", "rotation matrix")
def numbers_near_the_largest_float(path: Path) -> None:
    path.write_text("1e308 1e308 0\n1e308 -1e308 0\n0 0 1e308\n\n1 2 3\n")


@row("frame_00099_pose.txt", "numbers")
def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


@row("frame_00099_pose.txt", "8589934592 bytes, expected at most", heavy=True)
def eight_gigabytes(path: Path) -> None:
    path.write_text(GOOD)
    os.truncate(path, 2**33)


@row("frame_00099_pose.txt", "bytes, expected at most", heavy=True)
def five_million_rows(path: Path) -> None:
    path.write_bytes(b"1 0 0\n" * 5_000_000)

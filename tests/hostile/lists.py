"""Published boxes: each case writes the JSON file of a corpus with the faces AFLW/7 and AFLW/9 in
a.jpg and AFLW/1 in b.jpg, both 64 x 48 pixels, for which `good` is the whole list.
"""

import json
import os
from pathlib import Path
from typing import Any

from hostile.case import accepted, error, row

BOX = [5.0, 6.0, 25.0, 36.0]


def good() -> dict[str, Any]:
    faces = [{"bbox": BOX, "faceid": 7}, {"bbox": [30, 6, 60, 40], "faceid": 9}]
    return {"a.jpg": faces, "b.jpg": [{"bbox": BOX, "type": "train"}]}


def save(path: Path, **files: Any) -> None:
    path.write_text(json.dumps(good() | {f"{name}.jpg": own for name, own in files.items()}))


@accepted
def a_byte_order_mark(path: Path) -> None:
    path.write_text(json.dumps(good()), encoding="utf-8-sig")


@accepted
def boxes_that_reach_out_of_the_image(path: Path) -> None:
    save(path, b=[{"bbox": [-20, -10, 30, 30]}])


@row("AFLW/1", "outside the image", "[100.0, 100.0, 130.0, 130.0]", "64 x 48")
def a_box_outside_the_image(path: Path) -> None:
    save(path, b=[{"bbox": [100, 100, 130, 130]}])


@row("AFLW/1", "outside the image", "64 x 48")
def a_box_that_ends_at_the_edge(path: Path) -> None:
    save(path, b=[{"bbox": [-40, 0, 0, 40]}])


@row("AFLW/1", "outside the image", "64 x 48")
def a_box_with_half_a_pixel_in_the_image(path: Path) -> None:
    save(path, b=[{"bbox": [-40, 0, 0.5, 40]}])


@error("AFLW.json: b.jpg: expected bbox x1 < x2, y1 < y2, found [25.0, 6.0, 5.0, 36.0]")
def an_inverted_box(path: Path) -> None:
    save(path, b=[{"bbox": [25, 6, 5, 36]}])


@error("AFLW.json: b.jpg: expected bbox x1 < x2, y1 < y2, found [5.0, 6.0, 5.0, 36.0]")
def a_box_of_no_area(path: Path) -> None:
    save(path, b=[{"bbox": [5, 6, 5, 36]}])


@error("AFLW.json", "b.jpg", "finite", "nan")
def a_box_with_nan(path: Path) -> None:
    save(path, b=[{"bbox": [float("nan"), 6, 5, 36]}])


@error("AFLW.json", "b.jpg", "finite", "inf")
def a_box_of_1e999(path: Path) -> None:
    save(path, b=[{"bbox": "1e999"}])
    path.write_text(path.read_text().replace('"1e999"', "[5, 6, 1e999, 36]"))


@error("AFLW.json", "b.jpg / 0 / bbox", "found")
def a_number_of_400_digits(path: Path) -> None:
    save(path, b=[{"bbox": [5, 6, 10**400, 36]}])


@error("AFLW.json", "not JSON")
def a_number_of_5000_digits(path: Path) -> None:
    path.write_text('{"b.jpg": [{"bbox": [5, 6, %s, 36]}]}' % ("1" * 5000))


@error("AFLW.json", "b.jpg / 0 / bbox: Field required", "found {'box'")
def a_renamed_key(path: Path) -> None:
    save(path, b=[{"box": BOX}])


@error("AFLW.json", "b.jpg / 0 / score", "found 0.5")
def an_unknown_key(path: Path) -> None:
    save(path, b=[{"bbox": BOX, "score": 0.5}])


@error("AFLW.json", "b.jpg / 0 / bbox", "4")
def three_numbers(path: Path) -> None:
    save(path, b=[{"bbox": [1, 2, 3]}])


@error("AFLW.json", "b.jpg / 0 / bbox / 0", "found '5.0'")
def numbers_as_text(path: Path) -> None:
    save(path, b=[{"bbox": [str(number) for number in BOX]}])


@error("AFLW.json", "b.jpg / 0 / type", "'train' or 'test'", "found 'trian'")
def an_unknown_split(path: Path) -> None:
    """It would become a split that no protocol asks for."""
    save(path, b=[{"bbox": BOX, "type": "trian"}])


@error("AFLW.json", "a.jpg", "faceid 7 twice")
def one_face_twice(path: Path) -> None:
    save(path, a=[{"bbox": BOX, "faceid": 7}, {"bbox": [30, 6, 60, 40], "faceid": 7}])


@error("AFLW.json", "'b.jpg' twice")
def one_file_twice(path: Path) -> None:
    path.write_text(json.dumps(good())[:-1] + ', "b.jpg": [{"bbox": [30, 6, 60, 40]}]}')


@error("none of the 3 faces is in the published boxes", "'a.jpg'", "'AFW/x.jpg'")
def the_list_of_another_corpus(path: Path) -> None:
    path.write_text(json.dumps({"AFW/x.jpg": [{"bbox": BOX}]}))


@error("AFLW.json", "not JSON")
def cut_in_half(path: Path) -> None:
    path.write_text(json.dumps(good())[:40])


@error("AFLW.json", "not JSON")
def zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


@error("AFLW.json", "not JSON")
def latin_1(path: Path) -> None:
    path.write_bytes('{"ü.jpg": []}'.encode("latin-1"))


@error("AFLW.json", "not JSON")
def a_hundred_thousand_brackets(path: Path) -> None:
    path.write_text("[" * 100_000)


@error("AFLW.json", "found [1, 2]", "expected")
def a_list(path: Path) -> None:
    path.write_text("[1, 2]")


@error("AFLW.json", "8589934592 bytes, expected at most", heavy=True)
def eight_gigabytes(path: Path) -> None:
    path.write_text("{")
    os.truncate(path, 2**33)


@error("AFLW.json", "no published boxes there")
def a_folder_in_its_place(path: Path) -> None:
    path.mkdir()

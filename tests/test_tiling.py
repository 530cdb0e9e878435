"""Large photographs in parts: every face is found once, in a part that holds it whole."""

import numpy as np
import pytest
from PIL import Image
from tiny_project import ROOT

from hpe_core.faces.boxes import iou
from hpe_core.faces.detector import Detector
from hpe_core.faces.images import read_image
from hpe_core.faces.tiling import tile_regions, whole_in
from hpe_core.inference.self_test import TEST_FACE

SIZE_WH = (1000, 700)
SIDE = 70


@pytest.mark.parametrize("tiles", [1, 2, 3, 5])
@pytest.mark.parametrize("size_wh", [SIZE_WH, (333, 1001), (7, 5)])
def test_the_parts_cover_the_image_and_overlap(size_wh, tiles):
    whole, *parts = tile_regions(size_wh, tiles).tolist()
    assert whole == [0, 0, *size_wh]
    assert len(parts) == tiles**2
    seen = np.zeros(size_wh[::-1], int)
    for x1, y1, x2, y2 in parts:
        assert 0 <= x1 < x2 <= size_wh[0] and 0 <= y1 < y2 <= size_wh[1]
        seen[y1:y2, x1:x2] += 1
    assert seen.min() >= 1
    if tiles > 1 and min(size_wh) > 100:
        first, second = parts[0], parts[1]
        overlap = (first[2] - second[0]) / (first[2] - first[0])
        assert overlap == pytest.approx(0.25, abs=0.02)


def test_only_an_inner_edge_cuts_a_face_off():
    region = tile_regions(SIZE_WH, 2)[1]  # 0 … 572, 0 … 400
    boxes = {
        (10, 10, 60, 60): True,
        (-5, -5, 30, 30): True,  # past the image's own edge
        (0, 300, 50, 370): True,
        (500, 10, 571, 60): False,  # at the right edge
        (500, 10, 590, 60): False,  # beyond it
        (10, 350, 60, 399): False,  # at the lower edge
    }
    found = whole_in(np.array(list(boxes), float), region, SIZE_WH)
    assert found.tolist() == list(boxes.values())
    assert whole_in(np.array([[900.0, 0, 1000, 90]]), tile_regions(SIZE_WH, 1)[0], SIZE_WH).all()


def crowd() -> tuple[np.ndarray, np.ndarray]:
    """A photograph of 1800 x 1400 with 30 small faces, some where parts end, and their corners."""
    face = np.asarray(Image.fromarray(read_image(TEST_FACE)).resize((SIDE, SIDE)))
    image = np.full((1400, 1800, 3), 120, np.uint8)
    corners = [(x, y) for y in range(60, 1340, 270) for x in range(40, 1700, 300)]
    for x, y in corners:
        image[y : y + SIDE, x : x + SIDE] = face
    return image, np.array([[x, y, x + SIDE, y + SIDE] for x, y in corners], float)


def test_small_faces_are_found_in_parts_and_once():
    image, places = crowd()
    rules = {"input_px": 320, "score": 0.3, "nms_iou": 0.45}
    detector = ROOT / "data/detector/yolov5n-demo.onnx"
    (whole,), (parts,) = (Detector(detector, **rules, tiles=n).detect([image]) for n in (1, 4))
    inside = iou(places, parts.bbox_xyxy) > 0.2  # the face is smaller than its picture
    assert inside.any(1).mean() > 0.95
    assert inside.sum(1).max() == 1, "no face twice"
    assert (np.diff(parts.score) <= 0).all()
    assert (iou(places, whole.bbox_xyxy) > 0.2).any(1).mean() < 0.2

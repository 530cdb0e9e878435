"""Poses of any image's faces: every way in gives the same, and bad input is named."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_onnx import write_network

from hpe_core.common.errors import InputError
from hpe_core.common.geometry import rotation_from_pyr
from hpe_core.networks.bins import BinSpec
from hpe_core.networks.checkpoints import save_network
from hpe_core.networks.model import StudentNet, normalize, predict_probs
from hpe_core.predictor import HeadPose
from hpe_core.runtime.network import open_network
from hpe_core.training.loop import seeded

SPEC = BinSpec(3.0)
BOXES = {
    "source": "detector", "input_px": 64, "score": 0.3, "nms_iou": 0.5, "border": 0.0,
    "match_iou": 0.3, "unmatched": "drop", "square": True, "scale": 1.0,
}  # fmt: skip
CROP = {"height": 16, "width": 16, "margin": 0, "rule": "enlarged", "border": "replicate"}
FOUND = [(12.0, 10.0, 28.0, 34.0, 0.9), (40.0, 12.0, 52.0, 24.0, 0.8)]  # x1, y1, x2, y2, score
SQUARE = [[8.0, 10.0, 32.0, 34.0], [40.0, 12.0, 52.0, 24.0]]


def student() -> StudentNet:
    return seeded(lambda: StudentNet("resnet8", SPEC), 3)


@pytest.fixture
def place(tmp_path):
    """A function that saves a network (with changed rules) and a detector; → the network's path."""
    rows = np.zeros((84, 5), np.float32)
    for at, (x1, y1, x2, y2, score) in enumerate(FOUND):
        rows[at] = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, score]
    write_network(tmp_path / "d.onnx", rows.T.copy())

    def save(crop=CROP, **boxes):
        rules = {**BOXES, "path": str(tmp_path / "d.onnx"), **boxes}
        path = tmp_path / "n.safetensors"
        save_network(student(), path, "resnet8", (16, 16), {"crop": crop, "boxes": rules})
        return path

    return save


@pytest.fixture
def image(tmp_path) -> np.ndarray:
    """As an array, and as i.png."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "i.png")
    return pixels


def poses(faces) -> np.ndarray:
    return np.array([[*face.bbox_xyxy, face.score, *face.pyr_deg, *face.std_deg] for face in faces])


def test_faces_are_found_shaped_and_read(place, image):
    first, second = HeadPose.load(place()).predict(image)
    assert first.bbox_xyxy.tolist() == SQUARE[0]
    assert second.bbox_xyxy.tolist() == SQUARE[1]
    assert [first.score, second.score] == pytest.approx([0.9, 0.8])
    network = student().eval()
    crop = np.asarray(Image.fromarray(image).crop((40, 12, 52, 24)).resize((16, 16), 2))
    with torch.inference_mode():
        probs = predict_probs(network, normalize(torch.from_numpy(crop[None].copy())))
    np.testing.assert_allclose(second.pyr_deg, SPEC.expectation(probs)[0], atol=0.5)
    assert [second.pitch, second.yaw, second.roll] == second.pyr_deg.tolist()
    np.testing.assert_array_equal(second.rotation, rotation_from_pyr(second.pyr_deg))
    assert (second.std_deg > 1).all()
    assert np.abs(first.pyr_deg - second.pyr_deg).max() > 1e-3


def test_direction_is_that_of_the_rotation(place, image):
    face = HeadPose.load(place()).predict(image)[0]
    np.testing.assert_array_equal(face.direction, -rotation_from_pyr(face.pyr_deg)[:, 2])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("part", [0, 1])
def test_a_network_that_predicts_no_number_is_named(place, image, monkeypatch, value, part):
    """Neither its angles nor their std reach a table."""
    head_pose = HeadPose.load(place())
    opened = open_network(place())

    def read(faces):
        both = opened.read(faces)
        both[part][-1, 2] = value
        return both

    broken = HeadPose(replace(opened, read=read), head_pose.detector)
    with pytest.raises(InputError, match=r"n\.safetensors: damaged: it predicts NaN or infinite"):
        broken.predict(image)


def test_large_photographs_are_found_in_their_own_pixels(place, image, tmp_path, monkeypatch):
    """Boxes found, and boxes given, are those of the whole photograph."""
    head_pose = HeadPose.load(place())
    Image.fromarray(image).resize((256, 256)).save(tmp_path / "l.jpg", quality=95)
    with Image.open(tmp_path / "l.jpg") as large:
        large.draft("RGB", (64, 64))
        quarter = np.asarray(large)
    monkeypatch.setenv("HPE_MAX_PIXELS", "5000")
    expected = poses(head_pose.predict(quarter)) * ([4] * 4 + [1] * 7)
    for found in (
        head_pose.predict(tmp_path / "l.jpg"),
        next(head_pose.predict_each([tmp_path / "l.jpg"])),
        head_pose.predict(tmp_path / "l.jpg", expected[:, :4]),
    ):
        table = poses(found)
        table[:, 4] = expected[:, 4]  # of given boxes it is 1
        np.testing.assert_allclose(table, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": 50}, "score 50; expected 0 to 1"),
        ({"score": float("nan")}, "score nan; expected"),
        ({"border": -0.3}, "border -0.3; expected 0 to 2"),
        ({"border": float("nan")}, "border nan; expected"),
        ({"tiles": -2}, "tiles -2; expected 1"),
        ({"turns": 1.5}, "turns 1.5; expected 1"),
    ],
)
def test_a_search_that_cannot_be_is_refused(place, options, message):
    with pytest.raises(InputError, match=message):
        HeadPose.load(place(), **options)


def test_a_pil_image_that_is_cut_off_is_named(place, image, tmp_path):
    content = (tmp_path / "i.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="a PIL image of mode RGB: "):
        HeadPose.load(place()).predict(Image.open(tmp_path / "cut.png"))


def test_how_the_detector_searches_is_the_users_and_no_border_is_taken_over(place):
    """The training's border was meant for the training's images."""
    detector = HeadPose.load(place(border=0.5)).detector
    assert (detector.border, detector.score, detector.tiles) == (0.0, 0.3, 1)
    chosen = HeadPose.load(place(), score=0.85, border=0.25, tiles=3).detector
    assert (chosen.border, chosen.score, chosen.tiles) == (0.25, 0.85, 3)
    with pytest.raises(InputError, match=r"fixes the input at 64 x 64 pixels, found input_px 96"):
        HeadPose.load(place(), input_px=96)
    assert HeadPose.load(place(), input_px=64).detector.size_hw == (64, 64)
    assert HeadPose.load(input_px=640).detector.size_hw == (640, 640)
    assert HeadPose.load().detector.size_hw == (416, 416)
    assert HeadPose.load().detector.score == 0.25


def test_the_margin_of_the_trainings_crops_is_not_cut(place, image):
    plain = poses(HeadPose.load(place()).predict(image))
    with_margin = HeadPose.load(place(crop={**CROP, "margin": 4}))
    np.testing.assert_array_equal(poses(with_margin.predict(image)), plain)


@pytest.mark.parametrize("kind", ["path", "text", "PIL", "grey and alpha"])
def test_every_way_in_gives_the_same(place, image, tmp_path, kind):
    head_pose = HeadPose.load(place())
    given = {"path": tmp_path / "i.png", "text": str(tmp_path / "i.png")}.get(kind)
    if kind == "PIL":
        given = Image.fromarray(image)
    if kind == "grey and alpha":
        grey = Image.fromarray(image).convert("L")
        given, image = grey.convert("LA"), np.asarray(grey.convert("RGB"))
    np.testing.assert_array_equal(poses(head_pose.predict(given)), poses(head_pose.predict(image)))


def test_many_images_are_each_predicted_in_order(place, image):
    head_pose = HeadPose.load(place())
    images = [np.roll(image, shift, axis=1) for shift in range(11)]  # more than the detector's 8
    found = list(head_pose.predict_each(iter(images)))
    assert len(found) == 11
    for faces, pixels in zip(found, images, strict=True):
        np.testing.assert_allclose(poses(faces), poses(head_pose.predict(pixels)), atol=1e-3)


def test_given_boxes_are_used_as_they_are(place, image):
    head_pose = HeadPose.load(place())
    expected = head_pose.predict(image)
    found = head_pose.predict(image, SQUARE)
    np.testing.assert_array_equal([face.score for face in found], [1.0, 1.0])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.bbox_xyxy, other.bbox_xyxy)
        np.testing.assert_allclose(one.pyr_deg, other.pyr_deg, atol=1e-4)
    assert head_pose.predict(image, np.empty((0, 4))) == []


def test_one_box_is_one_face(place, image):
    head_pose = HeadPose.load(place())
    (one,), (same,) = (head_pose.predict(image, box) for box in (SQUARE[1], SQUARE[1:]))
    np.testing.assert_array_equal(poses([one]), poses([same]))


@pytest.mark.parametrize("there", ["beside", "below a folder above", "as recorded"])
def test_the_detector_is_found_from_another_folder(place, image, tmp_path, monkeypatch, there):
    network = place(path="data/detector/e.onnx")
    deep = tmp_path / "project" / "data" / "nets" / "n.safetensors"
    detector = {
        "beside": deep.with_name("e.onnx"),
        "below a folder above": tmp_path / "project" / "data" / "detector" / "e.onnx",
        "as recorded": tmp_path / "elsewhere" / "data" / "detector" / "e.onnx",
    }[there]
    for folder in (deep.parent, detector.parent, tmp_path / "elsewhere"):
        folder.mkdir(parents=True, exist_ok=True)
    network.rename(deep)
    (tmp_path / "d.onnx").rename(detector)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(HeadPose.load("../project/data/nets/n.safetensors").predict(image)) == 2


def test_more_faces_than_go_through_the_network_at_once(place, image):
    head_pose = HeadPose.load(place())
    boxes = [[x, x / 2, x + 15.0, x / 2 + 14.0] for x in np.linspace(0, 45, 70)]
    found = poses(head_pose.predict(image, boxes))
    alone = [poses(head_pose.predict(image, [boxes[row]]))[0] for row in (0, 63, 64, 69)]
    np.testing.assert_allclose(found[[0, 63, 64, 69]], alone, atol=1e-3)


def test_past_the_edge_it_sees_what_the_crops_had_there(place, image):
    past = [[-20.0, -20.0, 20.0, 20.0]]
    replicated = HeadPose.load(place()).predict(image, past)
    black = HeadPose.load(place(crop={**CROP, "border": "black"})).predict(image, past)
    assert np.abs(replicated[0].pyr_deg - black[0].pyr_deg).max() > 1e-3


def test_an_image_without_a_face_has_none(place, image):
    assert HeadPose.load(place(score=0.95)).predict(image) == []
    assert list(HeadPose.load(place(score=0.95)).predict_each([image, image])) == [[], []]


def test_a_photograph_is_rotated_as_its_exif_says(place, image, tmp_path):
    sideways = Image.fromarray(image).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90° clockwise
    sideways.save(tmp_path / "rotated.png", exif=exif)
    head_pose = HeadPose.load(place())
    with Image.open(tmp_path / "rotated.png") as opened:
        for given in (tmp_path / "rotated.png", opened):
            rotated = head_pose.predict(given)
            np.testing.assert_array_equal(poses(rotated), poses(head_pose.predict(image)))


def test_published_boxes_are_not_shaped_and_need_a_detector(place, image, tmp_path):
    network = place(source="published", path=str(tmp_path))
    with pytest.raises(InputError, match="trained on published boxes"):
        HeadPose.load(network).predict(image)
    with pytest.raises(InputError, match="trained on published boxes"):
        next(HeadPose.load(network).predict_each([image]))
    found = HeadPose.load(network, tmp_path / "d.onnx").predict(image)
    assert found[0].bbox_xyxy.tolist() == list(FOUND[0][:4])


def test_boxes_are_scaled_as_in_training(place, image):
    found = HeadPose.load(place(scale=1.5)).predict(image)
    assert found[1].bbox_xyxy.tolist() == [37.0, 9.0, 55.0, 27.0]


def test_the_published_crop(place, image):
    whole = [[40.0, 12.0, 52.0, 24.0]]
    ours = HeadPose.load(place()).predict(image, whole)
    theirs = HeadPose.load(place(crop={**CROP, "rule": "published"})).predict(image, whole)
    assert np.abs(ours[0].pyr_deg - theirs[0].pyr_deg).max() > 1e-4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(np.zeros((8, 8), np.uint8), r"uint8 \(8, 8\); expected", id="grey"),
        pytest.param(np.zeros((8, 8, 3)), r"float64 \(8, 8, 3\); expected", id="floats"),
        pytest.param(np.zeros((3, 8, 8), np.uint8), r"\(3, 8, 8\); expected", id="planes"),
        pytest.param(np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\); expected", id="empty"),
        pytest.param("absent.jpg", "absent.jpg: no such file", id="path"),
        pytest.param(Image.new("F", (8, 8)), "floating-point pixels", id="PIL floats"),
        pytest.param(3, "an image of type int; expected", id="number"),
    ],
)
def test_what_is_no_image_is_named(place, given, message):
    with pytest.raises(InputError, match=message):
        HeadPose.load(place()).predict(given)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        pytest.param([[70.0, 70.0, 90.0, 90.0]], "no area inside the image", id="outside"),
        pytest.param([[9.0, 9.0, 9.0, 20.0]], "area", id="no area"),
        pytest.param([[-1e6, -1e6, 1e6, 1e6]], "more than 10 times as large", id="giant"),
        pytest.param([[0.0, 0.0, 1e9, 20.0]], "more than 10 times as large", id="giant width"),
        pytest.param([[0.0, 0.0, np.inf, 20.0]], "more than 10 times as large", id="infinite"),
        pytest.param([[1.0, 2.0, 3.0]], r"shape \(1, 3\); expected \(N, 4\), or", id="three"),
        pytest.param([[np.nan, 2.0, 30.0, 40.0]], "nan", id="NaN"),
    ],
)
def test_a_box_that_is_none_is_named(place, image, box, message):
    with pytest.raises(InputError, match=message):
        HeadPose.load(place()).predict(image, box)


def test_missing_parts_are_named(place, tmp_path):
    with pytest.raises(InputError, match=r"absent\.safetensors: no such network"):
        HeadPose.load(tmp_path / "absent.safetensors")
    place(path="/gone.onnx")
    with pytest.raises(InputError, match=r"its training, /gone\.onnx, does not exist,") as said:
        HeadPose.load(tmp_path / "n.safetensors")
    assert f"nor does {tmp_path}/gone.onnx; give a detector (--detector, or Head" in str(said.value)
    with pytest.raises(
        InputError, match=r"no/gone.onnx, .*/gone.onnx, nor is it below a folder above"
    ):
        HeadPose.load(place(path="no/gone.onnx"))
    with pytest.raises(InputError, match=r"absent\.onnx: no such detector"):
        HeadPose.load(place(), tmp_path / "absent.onnx")
    save_network(student(), tmp_path / "old.safetensors", "resnet8", (16, 16), {"seed": 1})
    with pytest.raises(InputError, match=r"old\.safetensors: does not say how faces are cut"):
        HeadPose.load(tmp_path / "old.safetensors")

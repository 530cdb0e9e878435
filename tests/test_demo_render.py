"""The rendered head: the picture shows the pose that the label states."""

from dataclasses import replace

import numpy as np
import pytest

from data.demo import head
from data.demo.contact_sheet import axis_tips_px
from data.demo.head import Expression, Hair, Shape
from data.demo.paint import Colours
from data.demo.person import Person, sample_person
from data.demo.raster import rasterise
from data.demo.render import Camera, Light, View, project, render_head
from data.demo.scene import face_box, landmarks_px
from data.demo.steady import draws
from data.detector.scenes import render_scene
from hpe_core.common.geometry import rotation_from_pyr

SIZE = 240
BALD = Person(Shape(), Hair(top=-1.0, sides=-1.0), Colours(), glasses=False)
POSES = [
    pytest.param((0.0, 0.0, 0.0), id="frontal"),
    pytest.param((0.0, 50.0, 0.0), id="yaw"),
    pytest.param((30.0, 0.0, 0.0), id="pitch"),
    pytest.param((0.0, 0.0, 40.0), id="roll"),
    pytest.param((-20.0, -35.0, 25.0), id="all three"),
    pytest.param((10.0, 20.0, 160.0), id="upside down"),
]


def view(pyr_deg: tuple[float, float, float], person: Person = BALD) -> View:
    camera = Camera((SIZE / 2, SIZE / 2), 80.0)
    return View(person, Expression(), pyr_deg, camera, Light())


def picture(seen: View) -> np.ndarray:
    image = np.full((SIZE, SIZE, 3), 128, dtype=np.uint8)
    render_head(image, seen)
    return image


@pytest.mark.parametrize("pyr_deg", POSES)
@pytest.mark.parametrize(
    "place", [pytest.param((0.03, 0.3), id="nose"), pytest.param((-0.2, -0.4), id="left forehead")]
)
def test_paint_appears_where_the_rotation_puts_it(pyr_deg, place):
    """A mole is painted on the texture; R and the camera say where it must be in the picture."""
    without = picture(view(pyr_deg, replace(BALD, colours=Colours(mole=(0.0, 1.35)))))
    with_mole = picture(view(pyr_deg, replace(BALD, colours=Colours(mole=place))))
    change = np.abs(with_mole.astype(int) - without).sum(-1) * (without.sum(-1) != 3 * 128)
    change[change < 20] = 0
    assert change.any()
    found = np.array([change.sum(0) @ np.arange(SIZE), change.sum(1) @ np.arange(SIZE)])
    skin = head.skin_vertices(BALD.shape, Expression())
    point = head.surface_point(skin, *(np.array([v]) for v in place))[0]
    rotated = rotation_from_pyr(pyr_deg) @ point
    expected = project(rotated.astype(np.float32), view(pyr_deg).camera)[:2]
    assert np.abs(found / change.sum() - expected).max() < 1.5


@pytest.mark.parametrize(
    ("pyr_deg", "direction"),
    [
        pytest.param((0, 40, 0), (-1, 0), id="positive yaw looks to the left of the image"),
        pytest.param((0, -40, 0), (1, 0), id="negative yaw looks to the right"),
        pytest.param((40, 0, 0), (0, 1), id="positive pitch looks down"),
        pytest.param((-40, 0, 0), (0, -1), id="negative pitch looks up"),
    ],
)
def test_nose_points_along_minus_z(pyr_deg, direction):
    """The column -R[:, 2], without reference to the renderer's own transform."""
    seen = view(pyr_deg)
    nose = -rotation_from_pyr(pyr_deg)[:2, 2]
    assert nose @ np.array(direction) > 0.6
    tip = landmarks_px(seen)[30, :2]
    assert (tip - SIZE / 2) @ np.array(direction) > 25
    assert axis_tips_px(seen, 1.0)[3, :2] - SIZE / 2 == pytest.approx(80 * nose, rel=0.15, abs=1)


def test_roll_turns_the_face_clockwise_on_screen():
    chin = landmarks_px(view((0, 0, 30)))[8, :2] - SIZE / 2
    assert chin[0] < 0 < chin[1]


def test_profile_shows_the_nose_in_the_outline():
    """At yaw 90 the silhouette's leftmost point is the nose's tip, in front of chin and brow."""
    image = picture(view((0, 90, 0)))
    covered = (image != 128).any(-1)
    first = np.where(covered.any(1), covered.argmax(1), SIZE)
    tip = landmarks_px(view((0, 90, 0)))[30, :2]
    face = slice(round(tip[1]) - 50, round(tip[1]) + 30)
    assert abs(int(first[face].argmin()) + face.start - tip[1]) < 6
    assert abs(int(first[face].min()) - tip[0]) < 4


def test_left_and_right_differ():
    person = sample_person(draws(3))
    image = picture(view((0, 0, 0), person))
    assert np.abs(image[:, ::-1].astype(int) - image).mean() > 1.0


def test_landmarks_flip():
    points = head.landmarks_canonical()
    assert points[head.FLIP_68] * [-1, 1] == pytest.approx(points)


def test_rasteriser_against_every_pixel_of_every_triangle():
    rng = np.random.default_rng(0)
    points = rng.uniform(-5, 35, (60, 3)).astype(np.float32)
    triangles = np.arange(60).reshape(20, 3)
    fields = np.vstack([np.repeat(np.arange(20), 3), np.tile(np.eye(3), 20)])
    pixel, seen = rasterise(points, triangles, fields.astype(np.float32), (24, 30))
    y, x = np.mgrid[:24, :30]
    depth, nearest = np.full((24, 30), np.inf), np.full((24, 30), -1)
    margin = np.full((24, 30), np.inf)  # how near the closest edge is: rounding decides there
    for number, (a, b, c) in enumerate(points[triangles].astype(np.float64)):
        area = (b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]
        v = ((x - a[0]) * (c - a)[1] - (y - a[1]) * (c - a)[0]) / area
        w = ((b - a)[0] * (y - a[1]) - (b - a)[1] * (x - a[0])) / area
        edge = np.minimum(np.minimum(v, w), 1 - v - w)
        here = np.where(edge >= 0, (1 - v - w) * a[2] + v * b[2] + w * c[2], np.inf)
        nearest = np.where(here < depth, number, nearest)
        depth = np.minimum(depth, here)
        margin = np.minimum(margin, np.abs(edge))
    found = np.full(24 * 30, -1)
    found[pixel] = np.rint(seen[0])  # the triangle's number; then its barycentric coordinates
    clear = (margin > 1e-3).ravel()
    assert (found[clear] == nearest.ravel()[clear]).all()
    assert clear.mean() > 0.9
    assert seen[1:].sum(0) == pytest.approx(np.ones(len(pixel)), abs=1e-4)
    assert seen[1:].min() > -1e-3


def test_scenes_are_reproducible_and_their_boxes_lie_inside():
    counts = []
    for seed in range(12):
        image, boxes = render_scene(draws(seed), (160, 120), 3)
        again, boxes_again = render_scene(draws(seed), (160, 120), 3)
        assert image.shape == (120, 160, 3)
        assert (image == again).all()
        assert (boxes == boxes_again).all()
        assert boxes.shape[1] == 4
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        assert boxes.min(initial=0) >= 0
        assert (boxes <= [160, 120, 160, 120]).all()
        counts.append(len(boxes))
    assert min(counts) == 0
    assert max(counts) >= 2


@pytest.mark.parametrize(
    ("yaw", "share"),
    [
        pytest.param(0, (0.7, 1.0), id="frontal"),
        pytest.param(90, (0.35, 0.65), id="profile"),
        pytest.param(180, (0.0, 0.2), id="from behind"),
    ],
)
def test_share_of_the_face_that_is_seen(yaw, share):
    assert share[0] <= face_box(view((0, yaw, 0)))[1] <= share[1]


def test_frontal_face_box_reaches_from_hairline_to_chin_and_ear_to_ear():
    box, _ = face_box(view((0, 0, 0)))
    points = landmarks_px(view((0, 0, 0)))[:, :2]
    jaw_left, chin, jaw_right, brow = points[0], points[8], points[16], points[19]
    assert box[3] == pytest.approx(chin[1], abs=5)
    assert (box[0], box[2]) == pytest.approx((jaw_left[0], jaw_right[0]), abs=6)
    assert box[1] < brow[1] - 20

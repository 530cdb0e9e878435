"""Crops and targets on disk: round trips, byte-identity, and origins that are checked."""

import pickle

import h5py
import numpy as np
import pandas as pd
import pytest

from hpe_core.common.errors import InputError
from hpe_core.crops.settings import CropFormat
from hpe_core.crops.store import Crops, encode, write_crops
from hpe_core.teacher.sweeps import SweptAngles, read_sweep, write_sweep
from hpe_core.teacher.targets import Targets, TargetsOrigin, write_targets

RAW = CropFormat(12, 10, 3, "enlarged", "replicate", "raw", 95)
MADE_FROM = {"faces_sha256": "f" * 64, "boxes": {"scale": 1.0}}
HASHES = {"base_sha256": "b" * 64, "crops_sha256": "c" * 64}
ORIGIN = TargetsOrigin(
    K=15, d=5, S=49, bin_deg=1.0, theta_deg=99.0, n_bins=198, precision="32-true",
    rotations_deg=[-10.0, 10.0], flip=False, views=2, rotate_deg=15.0, **HASHES,
)  # fmt: skip


def faces(n: int) -> pd.DataFrame:
    angles = np.linspace(-50, 50, 3 * n).reshape(n, 3)
    table = pd.DataFrame(angles, columns=["pitch", "yaw", "roll"])
    table["face_id"] = [f"D/{i}" for i in range(n)]
    order = ["XYZ", "YXZ"] * n
    groups = [f"P{i // 2}" for i in range(n)]
    return table.assign(validation=table.index % 3 == 1, group=groups, order=order[:n])


def pixels(n: int, crop_format: CropFormat = RAW) -> np.ndarray:
    ramp = np.linspace(0, 200, np.prod(crop_format.shape)).reshape(crop_format.shape)
    return np.stack([ramp + i for i in range(n)]).astype(np.uint8)


def write(path, n=5, crop_format=RAW):
    images = pixels(n, crop_format)
    write_crops(path, faces(n), (encode(i, crop_format) for i in images), crop_format, MADE_FROM)
    return images


@pytest.mark.parametrize("codec", ["raw", "png", "jpeg"])
def test_crops_round_trip(tmp_path, codec):
    crop_format = CropFormat(12, 10, 3, "enlarged", "replicate", codec, 95)
    images = write(tmp_path / "c.h5", crop_format=crop_format)
    crops = Crops(tmp_path / "c.h5")
    assert len(crops) == 5
    assert crops.format == crop_format
    assert crops.face_id[2] == "D/2"
    assert crops.origin == MADE_FROM
    np.testing.assert_array_equal(crops.pyr_deg, faces(5)[["pitch", "yaw", "roll"]])
    assert crops.validation.tolist() == [False, True, False, False, True]
    assert crops.group == ["P0", "P0", "P1", "P1", "P2"]
    assert crops.order == ["XYZ", "YXZ", "XYZ", "YXZ", "XYZ"]
    assert crops.training_rows.tolist() == [0, 2, 3]
    for row in (4, 0, 2):
        difference = np.abs(crops[row].astype(int) - images[row]).max()
        assert difference <= (3 if codec == "jpeg" else 0)


def test_crops_larger_than_one_chunk(tmp_path):
    big = CropFormat(400, 400, 0, "enlarged", "replicate", "raw", 95)
    images = write(tmp_path / "c.h5", 5, big)
    crops = Crops(tmp_path / "c.h5")
    for row in range(5):
        np.testing.assert_array_equal(crops[row], images[row])


def test_equal_crops_give_equal_bytes(tmp_path):
    write(tmp_path / "a.h5")
    write(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_crops_survive_pickling_after_use(tmp_path):
    images = write(tmp_path / "c.h5")
    crops = Crops(tmp_path / "c.h5")
    crops[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(crops))[3], images[3])


def test_too_few_crops_leave_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="5 faces, but 3 crops"):
        write_crops(
            tmp_path / "c.h5", faces(5), (encode(i, RAW) for i in pixels(3)), RAW, MADE_FROM
        )
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_in_the_pixels_is_noticed(tmp_path):
    path = tmp_path / "c.h5"
    images = write(path)
    data = bytearray(path.read_bytes())
    data[bytes(data).find(images[2].tobytes()[100:160])] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"c\.h5: damaged.*; run crop_train or crop_test again"):
        Crops(path)[2]


def chunks(n: int, sizes: list[int]):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(198) * 0.1, (n, 3)).astype(np.float32)
    pyr, std = rng.normal(size=(2, n, 3)).astype(np.float32)
    cuts = np.cumsum(sizes)[:-1]
    return zip(*(np.split(a, cuts) for a in (probs, pyr, std)), strict=True), probs, pyr


def rotations(faces: int) -> np.ndarray:
    return np.random.default_rng(2).uniform(-15, 15, (faces, 2)).astype(np.float32)


def test_targets_round_trip(tmp_path):
    parts, probs, pyr = chunks(130, [100, 30])
    ids = [f"D/{i}" for i in range(65)]
    write_targets(tmp_path / "t.h5", ids, rotations(65), parts, ORIGIN)
    targets = Targets(tmp_path / "t.h5", {"K": 15, "d": 5})
    assert targets.face_id == ids
    assert targets.origin == ORIGIN
    found = np.stack([targets[row, view] for row in range(65) for view in range(2)])
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(found, probs, atol=1e-3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(targets))[3, 1], found[7])
    np.testing.assert_array_equal(targets.pyr_deg, pyr.reshape(65, 2, 3))
    np.testing.assert_array_equal(targets.phi_deg, rotations(65))
    with h5py.File(tmp_path / "t.h5") as file:
        assert file["probs"].dtype == np.float16
        assert file["probs"].chunks == (64, 3, 198)
        assert file["probs"].fletcher32


def test_targets_do_not_depend_on_how_they_came(tmp_path):
    ids = [f"D/{i}" for i in range(1250)]
    for name, sizes in (("a.h5", [2500]), ("b.h5", [3, 2496, 1]), ("c.h5", [500] * 5)):
        write_targets(tmp_path / name, ids, rotations(1250), chunks(2500, sizes)[0], ORIGIN)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param({"K": 3}, "K = 15, but 3 is expected", id="K"),
        pytest.param({"base_sha256": "x"}, "base_sha256 = 'bbb.*'x' is expected", id="base"),
    ],
)
def test_targets_of_another_origin_are_refused(tmp_path, asked, message):
    write_targets(tmp_path / "t.h5", ["D/0"], rotations(1), chunks(2, [2])[0], ORIGIN)
    with pytest.raises(InputError, match=message):
        Targets(tmp_path / "t.h5", asked)


def test_targets_with_other_attributes_are_refused(tmp_path):
    """Those of an earlier commit, say, where one had another name."""
    write_targets(tmp_path / "t.h5", ["D/0"], rotations(1), chunks(2, [2])[0], ORIGIN)
    with h5py.File(tmp_path / "t.h5", "a") as file:
        file.attrs["turns_deg"] = file.attrs["rotations_deg"]
        del file.attrs["rotations_deg"]
    with pytest.raises(InputError, match=r"'rotations_deg', 'turns_deg'.*ensemble stage again"):
        Targets(tmp_path / "t.h5")


@pytest.mark.parametrize("asked", ["base_sha256", "crops_sha256"])
def test_a_sweep_of_another_origin_is_refused(tmp_path, asked):
    origin = {"base_sha256": "b" * 64, "crops_sha256": "c" * 64}
    angles_deg = np.zeros((1, 1, 3), np.float32)
    swept = SweptAngles(["D/0"], np.zeros((1, 2), int), angles_deg)
    write_sweep(tmp_path / "s.h5", swept, origin)
    assert read_sweep(tmp_path / "s.h5", origin).face_id == ["D/0"]
    with pytest.raises(InputError, match=rf"s\.h5: made with {asked} = .*'x' is .* sweep stage"):
        read_sweep(tmp_path / "s.h5", origin | {asked: "x"})


def test_missing_rows_of_targets_leave_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="4 views, but targets of 2"):
        write_targets(tmp_path / "t.h5", ["a", "b"], rotations(2), chunks(2, [2])[0], ORIGIN)
    assert list(tmp_path.iterdir()) == []

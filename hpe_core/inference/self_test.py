"""The checks of `hpe doctor`. Importing this module imports none of the packages it checks."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hpe_core.common.errors import InputError
from hpe_core.weights.catalogue import network_path

if TYPE_CHECKING:
    from hpe_core.predictor import HeadPose

PACKAGES = {  # distribution → module
    "hpe-offset-ensemble": "hpe_core", "numpy": "numpy", "pillow": "PIL",
    "opencv-python-headless": "cv2", "onnxruntime": "onnxruntime",
}  # fmt: skip
PIPELINE = {  # what predicting from an .onnx does without
    "pandas": "pandas", "torch": "torch", "torchvision": "torchvision",
    "safetensors": "safetensors", "pyarrow": "pyarrow", "h5py": "h5py",
}  # fmt: skip
# Rendered by data/demo: AFLW2000/image00251, half its size.
TEST_FACE, TEST_FACE_PYR_DEG = Path(__file__).with_name("face.jpg"), (-12.9, 15.8, -24.0)
MAX_TEST_FACE_OFF_DEG = 20.0  # networks trained on rendered or real faces are 4° to 6° off


@dataclass(frozen=True)
class Check:
    name: str
    state: Literal["ok", "skipped", "failed"]
    found: str


def checks(
    network: str | None, detector: Path | None, device: str, image: Path | None
) -> Iterator[Check]:
    """Runs one check after the other and yields each result at once."""
    yield Check("python", "ok", f"{platform.python_version()}, {platform.platform()}")
    packages = [
        _check(name, partial(_package_version, name, module)) for name, module in PACKAGES.items()
    ]
    for name, module in PIPELINE.items():
        if find_spec(module) is None:
            packages.append(Check(name, "skipped", "not installed: part of the extra `pipeline`"))
        else:
            packages.append(_check(name, partial(_package_version, name, module)))
    yield from packages
    if any(package.state == "failed" for package in packages):
        yield Check("devices, network, one face", "skipped", "without the packages")
        return
    yield _check("devices", _devices)
    from hpe_core.predictor import HeadPose

    try:
        path = network_path(network)
        head_pose = HeadPose.load(path, detector, device)
    except (InputError, OSError) as error:
        yield Check("network", "failed", str(error))
        yield Check("one face", "failed", "the network is not loaded")
        return
    found = head_pose.detector and head_pose.detector.path
    yield Check("network", "ok", f"{path} on {device}, detector {found}")
    yield _check("one face", partial(_find_face, head_pose, image))


def _check(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", check())
    except (InputError, OSError) as error:
        return Check(name, "failed", str(error))


def _package_version(distribution: str, module: str) -> str:
    try:
        import_module(module)
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise InputError("not installed") from None
    except Exception as error:  # a broken package can raise anything
        raise InputError(f"cannot be imported: {error}") from None


def _devices() -> str:
    import onnxruntime

    providers = f"ONNX Runtime: {', '.join(onnxruntime.get_available_providers())}"
    if find_spec("torch") is None:
        return providers
    import torch

    cuda = [f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    cpu = f"cpu ({torch.get_num_threads()} threads)"
    return f"torch: {', '.join([cpu, *cuda, *mps])}; {providers}"


def _find_face(head_pose: "HeadPose", image: Path | None) -> str:
    from hpe_core.common.geometry import geodesic_deg

    faces = head_pose.predict(image or TEST_FACE)
    if not faces:
        raise InputError(f"none found in {image or TEST_FACE} by this detector")
    pose = "pitch {:.0f}°, yaw {:.0f}°, roll {:.0f}°".format(*faces[0].pyr_deg)
    if image:
        return f"{len(faces)} found in {image}, the surest with {pose}"
    off_deg = float(geodesic_deg(faces[0].pyr_deg, TEST_FACE_PYR_DEG))
    if off_deg > MAX_TEST_FACE_OFF_DEG:
        expected = f"expected at most {MAX_TEST_FACE_OFF_DEG:.0f}°"
        raise InputError(f"{pose}: {off_deg:.0f}° off, {expected}")
    return f"{pose}: {off_deg:.0f}° off the rendered pose"

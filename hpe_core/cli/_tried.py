"""What `hpe doctor` tries once the packages can be imported: each function says what it found."""

from pathlib import Path

import onnxruntime
import torch

from hpe_core.errors import InputError
from hpe_core.geometry import geodesic_deg
from hpe_core.io.detector import Detector
from hpe_core.predictor import HeadPose

FACE = Path(__file__).with_name("face.jpg")  # drawn by data/demo: AFLW2000/image00251, halved
FACE_PYR_DEG = (-12.9, 15.8, -24.0)
MAX_OFF_DEG = 20.0  # networks of drawn and of real faces are 4 to 6 off


def devices() -> str:
    cuda = [f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    cpu = f"cpu ({torch.get_num_threads()} threads)"
    providers = ", ".join(onnxruntime.get_available_providers())
    return f"torch: {', '.join([cpu, *cuda, *mps])}; ONNX Runtime: {providers}"


def detector(path: Path) -> str:
    """The settings are the profiles': loading depends on none of them."""
    height, width = Detector(path, input_px=640, score=0.3, nms_iou=0.45).size_hw
    return f"{path}, input {width} x {height}"


class Opened:
    """A network and its detector, to be loaded and tried. Each raises InputError."""

    def __init__(self, network: Path, detector: Path | None, device: str) -> None:
        self._files = network, detector, device
        self._head_pose: HeadPose | None = None

    def load(self) -> str:
        self._head_pose = HeadPose.load(*self._files)
        found = self._head_pose.detector
        return f"{self._files[0]} on {self._head_pose.device}, detector {found and found.path}"

    def face(self, image: Path | None) -> str:
        if self._head_pose is None:
            raise InputError("the network is not loaded")
        faces = self._head_pose.predict(image or FACE)
        if not faces:
            raise InputError(f"none found in {image or FACE}; is it a detector of faces?")
        pose = "pitch {:.0f}°, yaw {:.0f}°, roll {:.0f}°".format(*faces[0].pyr_deg)
        if image:
            return f"{len(faces)} found in {image}, the surest with {pose}"
        off_deg = float(geodesic_deg(faces[0].pyr_deg, FACE_PYR_DEG))
        if off_deg > MAX_OFF_DEG:
            raise InputError(f"{pose}: {off_deg:.0f}° off, expected at most {MAX_OFF_DEG:.0f}°")
        return f"{pose}: {off_deg:.0f}° off the drawn pose"

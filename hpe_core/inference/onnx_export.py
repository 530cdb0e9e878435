"""A network as one ONNX file, from uint8 faces to angles, that runs without this project.

torch's exporter and ONNX Runtime's quantiser need the packages of the extra `export`.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from onnxruntime import quantization
from torch import Tensor, nn

from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic
from hpe_core.common.geometry import Array
from hpe_core.networks.model import Network, folded, normalize, predict_probs
from hpe_core.runtime.network import INPUT, OUTPUTS, Angles, Faces

# The quantised operators: they hold all weights. The few others, such as softmax and expectation,
# stay in float32: 8 bits are too few for sums over hundreds of bins of 1°.
_INT8 = ["Conv", "Gemm"]

StdFactors = tuple[float, float, float]


@dataclass(frozen=True)
class Corrections:
    """What the graph does to the angles and std of the network itself.

    std_factors: with which the std of pitch, yaw and roll are multiplied. frame (3 x 3): C of
    `geometry.in_head_frame`, applied to the angles; the std stay as they are. None: nothing.
    """

    std_factors: StdFactors | None = None
    frame: Array | None = None


NO_CORRECTIONS = Corrections()


class PoseGraph(nn.Module):
    """The exported graph: uint8 RGB (N, h, w, 3) → `OUTPUTS`: (N, 3), (N, 3), (N, 3, n_bins)."""

    def __init__(self, network: Network, corrections: Corrections = NO_CORRECTIONS) -> None:
        super().__init__()
        self.network, self.spec = network, network.spec
        self.corrections = corrections

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        probs = predict_probs(self.network, normalize(images))
        pyr_deg, std_deg = self.spec.angle_and_std_deg(probs)
        if self.corrections.std_factors:
            std_deg = std_deg * torch.tensor(self.corrections.std_factors)
        if self.corrections.frame is not None:
            frame = torch.tensor(self.corrections.frame.tolist(), dtype=torch.float32)
            pyr_deg = _in_head_frame(pyr_deg, frame)
        return pyr_deg, std_deg, probs


def _in_head_frame(pyr_deg: Tensor, frame: Tensor) -> Tensor:
    """`geometry.in_head_frame`, written out for the exporter: (N, 3) → (N, 3).

    Only the five entries of R · C are computed that the angles are made of.
    """
    radians = torch.deg2rad(pyr_deg)
    (cp, cy, cr), (sp, sy, sr) = (f(radians).unbind(-1) for f in (torch.cos, torch.sin))
    right = torch.stack([cy * cr, -cy * sr, sy], -1) @ frame  # the first row of R · C
    above = torch.stack([cp * sr + sp * sy * cr, cp * cr - sp * sy * sr, -sp * cy], -1) @ frame
    beyond = torch.stack([sp * sr - cp * sy * cr, sp * cr + cp * sy * sr, cp * cy], -1) @ frame
    cos_yaw = right[:, :2].square().sum(-1).sqrt()
    # beyond 90° of yaw, the cosine is negative, and with it what pitch and roll are made of
    sign = torch.where(cy < 0, -1.0, 1.0)
    turned = torch.stack(
        [
            torch.atan2(-above[:, 2] * sign, beyond[:, 2] * sign),
            torch.atan2(right[:, 2], cos_yaw * sign),
            torch.atan2(-right[:, 1] * sign, right[:, 0] * sign),
        ],
        -1,
    )
    moved = torch.rad2deg(turned) - pyr_deg
    return pyr_deg + moved - 360 * torch.round(moved / 360)


def to_onnx(
    network: Network,
    size_hw: tuple[int, int],
    opset: int,
    described: Mapping[str, str],
    corrections: Corrections = NO_CORRECTIONS,
) -> bytes:
    """An ONNX file of any batch size. described: its metadata, besides the opset.

    Raises InputError where torch writes another opset, as it does below 18 without saying so.
    """
    program = torch.onnx.export(
        PoseGraph(folded(network), corrections).eval(),
        (torch.zeros(2, *size_hw, 3, dtype=torch.uint8),),  # a batch of 1 would become a constant
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_shapes={INPUT: {0: "batch"}},
        opset_version=opset,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    found = model.opset_import[0].version
    if found != opset:
        raise InputError(f"opset {opset}: torch's exporter wrote {found} instead; choose that one")
    for node in model.graph.node:  # they hold paths of this machine's source files
        del node.metadata_props[:]
    onnx.helper.set_model_props(model, {**described, "opset": str(opset)})
    return model.SerializeToString()


def to_int8(model: bytes, faces: Faces, source: str) -> bytes:
    """`to_onnx`'s file with 8-bit activations and weights (per channel), as QDQ nodes.

    Weights use 7 of their bits, so that sums fit on every processor (docs/predict.md: no loss).

    faces: their activations calibrate the ranges. source: their origin, for the metadata.
    """
    with TemporaryDirectory() as folder:
        before, after = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        before.write_bytes(model)
        logging.disable(logging.WARNING)  # it advises what `folded` has done already
        try:
            quantization.quantize_static(
                before,
                after,
                _Calibration(faces),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_INT8,
                per_channel=True,
                # x86 multiplies unsigned by signed: signed activations are slower than float32.
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                reduce_range=True,  # 7 bits: on processors without VNNI, sums of 8 would overflow
            )
        finally:
            logging.disable(logging.NOTSET)
        quantized = onnx.load(after)
    calibrated = json.dumps({"faces": len(faces), "source": source})
    quantized.metadata_props.add(key="int8_calibration", value=calibrated)
    return quantized.SerializeToString()


def write_model(model: bytes, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(model)


@torch.inference_mode()
def torch_angles(
    network: Network, faces: Faces, corrections: Corrections = NO_CORRECTIONS
) -> Angles:
    """The reference for `network.angles`: PyTorch, batch normalisation not folded."""
    pyr_deg, std_deg, _ = PoseGraph(network, corrections)(torch.from_numpy(faces))
    return pyr_deg.numpy(), std_deg.numpy()


def batches(faces: Faces, size: int = 32) -> Iterator[Faces]:
    yield from (faces[start : start + size] for start in range(0, len(faces), size))


class _Calibration(quantization.CalibrationDataReader):
    def __init__(self, faces: Faces) -> None:
        self._batches = batches(faces)

    def get_next(self) -> dict[str, Faces] | None:
        return next(({INPUT: some} for some in self._batches), None)

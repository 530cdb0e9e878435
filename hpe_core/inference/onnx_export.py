"""A network as one ONNX file, from uint8 faces to angles, that runs without this project.

torch's exporter and ONNX Runtime's quantiser need the packages of the extra `export`.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from onnxruntime import quantization
from torch import Tensor, nn

from hpe_core.common.errors import InputError
from hpe_core.common.files import atomic
from hpe_core.networks.model import Network, folded, normalize, predict_probs
from hpe_core.runtime.network import INPUT, OUTPUTS, Angles, Faces

# The quantised operators: they hold all weights. The few others, such as softmax and expectation,
# stay in float32: 8 bits are too few for sums over hundreds of bins of 1°.
_INT8 = ["Conv", "Gemm"]

StdFactors = tuple[float, float, float]


class PoseGraph(nn.Module):
    """The exported graph: uint8 RGB (N, h, w, 3) → `OUTPUTS`: (N, 3), (N, 3), (N, 3, n_bins).

    std_factors: with which the std of pitch, yaw and roll are multiplied; None: they are not.
    """

    def __init__(self, network: Network, std_factors: StdFactors | None = None) -> None:
        super().__init__()
        self.network, self.spec = network, network.spec
        self.std_factors = std_factors

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        probs = predict_probs(self.network, normalize(images))
        pyr_deg, std_deg = self.spec.angle_and_std_deg(probs)
        if self.std_factors:
            std_deg = std_deg * torch.tensor(self.std_factors)
        return pyr_deg, std_deg, probs


def to_onnx(
    network: Network,
    size_hw: tuple[int, int],
    opset: int,
    described: Mapping[str, str],
    std_factors: StdFactors | None = None,
) -> bytes:
    """An ONNX file of any batch size. described: its metadata, besides the opset.

    Raises InputError where torch writes another opset, as it does below 18 without saying so.
    """
    program = torch.onnx.export(
        PoseGraph(folded(network), std_factors).eval(),
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
    """`to_onnx`'s file with 8-bit weights (per channel) and activations, as QDQ nodes.

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
def torch_angles(network: Network, faces: Faces, std_factors: StdFactors | None = None) -> Angles:
    """The reference for `network.angles`: PyTorch, batch normalisation not folded."""
    pyr_deg, std_deg, _ = PoseGraph(network, std_factors)(torch.from_numpy(faces))
    return pyr_deg.numpy(), std_deg.numpy()


def batches(faces: Faces, size: int = 32) -> Iterator[Faces]:
    yield from (faces[start : start + size] for start in range(0, len(faces), size))


class _Calibration(quantization.CalibrationDataReader):
    def __init__(self, faces: Faces) -> None:
        self._batches = batches(faces)

    def get_next(self) -> dict[str, Faces] | None:
        return next(({INPUT: some} for some in self._batches), None)

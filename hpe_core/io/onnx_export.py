"""A network as ONNX: from uint8 faces to angles in one file, used without this project.

torch's exporter and ONNX Runtime's quantiser need the packages of the extra `export`.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from onnxruntime import quantization
from torch import Tensor, nn

from hpe_core.errors import InputError
from hpe_core.io.files import atomic
from hpe_core.io.onnx_session import INPUT, OUTPUTS, Angles, Faces, batches
from hpe_core.networks import Network, folded, normalize, predict_probs
from hpe_core.uncertainty import distribution_std_deg

# Quantised operators: all weights are theirs. The few others, softmax and expectation among them,
# stay in float32: bins of 1° and sums over hundreds of them leave no room for 8 bits.
_INT8 = ["Conv", "Gemm"]


class PoseGraph(nn.Module):
    """What is exported: uint8 RGB (N, h, w, 3) → the `OUTPUTS`, (N, 3), (N, 3), (N, 3, n_bins)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.spec = network, network.spec

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        probs = predict_probs(self.network, normalize(images))
        return self.spec.expectation(probs), distribution_std_deg(probs, self.spec), probs


def to_onnx(
    network: Network, size_hw: tuple[int, int], opset: int, described: Mapping[str, str]
) -> bytes:
    """An ONNX file with an open batch. described: its metadata, beside the opset.

    Raises InputError where torch writes another opset, as it does, silently, below 18.
    """
    program = torch.onnx.export(
        PoseGraph(folded(network)).eval(),
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
    for node in model.graph.node:  # source lines of this machine
        del node.metadata_props[:]
    onnx.helper.set_model_props(model, {**described, "opset": str(opset)})
    return model.SerializeToString()


def to_int8(model: bytes, faces: Faces, source: str) -> bytes:
    """`to_onnx`'s file with 8-bit weights (per channel) and activations, as QDQ nodes.

    faces: their activations set the ranges. source: where they come from, for the metadata.
    """
    with TemporaryDirectory() as folder:
        before, after = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        before.write_bytes(model)
        with _only_errors_logged():  # it asks for what `folded` has done
            quantization.quantize_static(
                before,
                after,
                _Calibration(faces),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_INT8,
                per_channel=True,
                # Signed ones are slower than float32 on x86, which multiplies unsigned by signed.
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        quantized = onnx.load(after)
    calibrated = json.dumps({"faces": len(faces), "source": source})
    quantized.metadata_props.add(key="int8_calibration", value=calibrated)
    return quantized.SerializeToString()


def write(model: bytes, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(model)


@torch.inference_mode()
def torch_angles(network: Network, faces: Faces) -> Angles:
    """What `angles` must give: by PyTorch, and without folding."""
    pyr_deg, std_deg, _ = PoseGraph(network)(torch.from_numpy(faces))
    return pyr_deg.numpy(), std_deg.numpy()


class _Calibration(quantization.CalibrationDataReader):
    def __init__(self, faces: Faces) -> None:
        self._batches = batches(faces)

    def get_next(self) -> dict[str, Faces] | None:
        return next(({INPUT: some} for some in self._batches), None)


@contextmanager
def _only_errors_logged() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)

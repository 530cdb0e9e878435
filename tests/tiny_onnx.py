"""Tiny ONNX networks that answer what a test says, written byte by byte.

The `onnx` package is no dependency of ours, and torch's exporter needs more packages still. The
few protobuf messages below are enough for ONNX Runtime itself to load and run the result, so tests
of the detector pass through the real thing. Field numbers are onnx.proto's.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

FLOAT, INT64, FLOAT16 = 1, 7, 10
Field = tuple[int, int | bytes | str]


def message(*fields: Field) -> bytes:
    """A protobuf message: numbers as varints, everything else with its length before it."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def tensor(name: str, values: np.ndarray) -> bytes:
    kind = {"f4": FLOAT, "i8": INT64, "f2": FLOAT16}[values.dtype.str[1:]]
    dims = [(1, size) for size in values.shape]
    return message(*dims, (2, kind), (8, name), (9, values.tobytes()))


def value_info(name: str, shape: Sequence[int | str], kind: int) -> bytes:
    """An input or output; a name instead of a size leaves that axis open."""
    dims = [(1, message((1, n) if isinstance(n, int) else (2, n))) for n in shape]
    tensor_type = message((1, kind), (2, message(*dims)))
    return message((1, name), (2, message((1, tensor_type))))


def node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    fields = [*((1, name) for name in inputs), (2, output), (4, kind)]
    return message(*fields, *((5, attribute) for attribute in attributes))


def write_network(
    path: Path,
    answer: np.ndarray,
    times_brightness: np.ndarray | None = None,
    *,
    input_shape: Sequence[int | str] = ("batch", 3, 64, 64),
    half: bool = False,
) -> Path:
    """A network whose output, for each image, is answer + times_brightness · mean(input).

    answer, times_brightness: rows x columns of one image's output. half: float16 throughout.
    """
    kind, dtype = (FLOAT16, "f2") if half else (FLOAT, "f4")
    factor = np.zeros_like(answer) if times_brightness is None else times_brightness
    all_axes = message((1, "axes"), (8, 1), (8, 2), (8, 3), (20, 7))
    no_axis_kept = message((1, "keepdims"), (3, 0), (20, 2))
    graph = message(
        (1, node("ReduceMean", ["images"], "mean", all_axes, no_axis_kept)),
        (1, node("Reshape", ["mean", "shape"], "brightness")),
        (1, node("Mul", ["brightness", "factor"], "scaled")),
        (1, node("Add", ["scaled", "answer"], "output0")),
        (2, "tiny"),
        (5, tensor("shape", np.array([-1, 1, 1], dtype="i8"))),
        (5, tensor("factor", factor[None].astype(dtype))),
        (5, tensor("answer", answer[None].astype(dtype))),
        (11, value_info("images", input_shape, kind)),
        (12, value_info("output0", (input_shape[0], *answer.shape), kind)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(message((1, 8), (7, graph), (8, message((1, ""), (2, 13)))))
    return path

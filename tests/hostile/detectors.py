"""Detectors: each case writes one .onnx, `path`, that is to find a face in a grey image."""

import os
from pathlib import Path

import numpy as np
from hostile.case import error
from tiny_onnx import FLOAT, message, node, tensor, value_info, write_network

FACE = np.zeros((5, 84), np.float32)  # of an input of 64 x 64: one face among 84 cells
FACE[:, 0] = 18, 20, 16, 20, 0.9


def graph(path: Path, *fields: tuple[int, bytes], opset: str = "") -> None:
    inside = message(*fields, (2, "tiny"))
    own = [(8, message((1, opset), (2, 1)))] if opset else []
    path.write_bytes(message((1, 8), (7, inside), (8, message((1, ""), (2, 13))), *own))


@error("net.onnx: ONNX Runtime cannot load it")
def zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


@error("net.onnx: ONNX Runtime cannot load it")
def cut_in_half(path: Path) -> None:
    write_network(path, FACE)
    os.truncate(path, path.stat().st_size // 2)


@error("net.onnx: ONNX Runtime cannot load it")
def weights_of_torch(path: Path) -> None:
    path.write_bytes(b"PK\3\4" + bytes(2000))


@error("net.onnx", "my.domain", "Evil")
def an_operator_of_its_own(path: Path) -> None:
    own = node("Evil", ["images"], "output0") + message((7, "my.domain"))
    images, output = (
        (n, value_info(name, (1, 3, 64, 64), FLOAT))
        for n, name in ((11, "images"), (12, "output0"))
    )
    graph(path, (1, own), images, output, opset="my.domain")


@error("net.onnx", "cannot load")
def weights_in_a_file_outside(path: Path) -> None:
    """External data, which lies a folder higher."""
    (path.parent.parent / "secret.bin").write_bytes(FACE.tobytes())
    where = message((1, "location"), (2, "../secret.bin"))
    answer = message((1, 1), (1, 5), (1, 84), (2, FLOAT), (8, "answer"), (13, where), (14, 1))
    graph(
        path,
        (1, node("Identity", ["answer"], "output0")),
        (5, answer),
        (11, value_info("images", ("batch", 3, 64, 64), FLOAT)),
        (12, value_info("output0", (1, 5, 84), FLOAT)),
    )


@error("net.onnx: expected one input (batch, 3, height, width)", "found", "[1, 1, 64, 64]")
def grey_input(path: Path) -> None:
    write_network(path, FACE, input_shape=(1, 1, 64, 64))


@error("net.onnx", "expected one input (batch, 3, height, width)", "[1, 3, 4096]")
def an_input_of_three_dimensions(path: Path) -> None:
    inputs = (11, value_info("images", (1, 3, 4096), FLOAT))
    output = (12, value_info("output0", (1, 3, 4096), FLOAT))
    graph(path, (1, node("Identity", ["images"], "output0")), inputs, output)


@error("net.onnx", "expected an output (batch, 252, 5 + classes)", "found (1, 7, 84")
def another_output(path: Path) -> None:
    graph(
        path,
        (1, node("Identity", ["answer"], "output0")),
        (5, tensor("answer", np.zeros((1, 7, 84, 2), np.float32))),
        (11, value_info("images", ("batch", 3, 64, 64), FLOAT)),
        (12, value_info("output0", (1, 7, 84, 2), FLOAT)),
    )


@error("net.onnx", "expected scores in [0, 1]", "[0, 300]")
def scores_of_300(path: Path) -> None:
    write_network(path, np.where(np.arange(5)[:, None] == 4, FACE * 300 / 0.9, FACE).astype("f4"))


@error("net.onnx", "expected scores in [0, 1]", "nan")
def scores_of_nan(path: Path) -> None:
    answer = FACE.copy()
    answer[4] = np.nan
    write_network(path, answer)


@error("found none of the 1 faces")
def boxes_of_nan(path: Path) -> None:
    answer = FACE.copy()
    answer[:4] = np.nan
    write_network(path, answer)


@error("net.onnx", "1000000", "expected at most 8192")
def an_input_of_terabytes(path: Path) -> None:
    write_network(path, FACE, input_shape=("batch", 3, 1_000_000, 1_000_000))


@error("net.onnx", "batch", "1000000000")
def a_batch_of_a_billion(path: Path) -> None:
    write_network(path, FACE, input_shape=(1_000_000_000, 3, 64, 64))


@error("net.onnx: no such detector")
def a_folder(path: Path) -> None:
    path.mkdir()

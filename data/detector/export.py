"""Writes the trained network as ONNX with open batch and size, in .venv-detector.

checkpoint → ONNX, output (batch, 4 + classes, anchors)
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from train import quiet


def main(*, weights: Path, out: Path, opset: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        quiet(work)
        from ultralytics import YOLO

        copy = work / "network.pt"
        shutil.copyfile(weights, copy)
        # No simplify: it needs one more package, and ONNX Runtime does the same when it loads.
        exported = YOLO(copy).export(format="onnx", opset=opset, dynamic=True, simplify=False)
        write_without_traces(exported, out)


def write_without_traces(exported: Path, out: Path) -> None:
    """A copy whose metadata name neither a folder of this machine nor the time."""
    import onnx

    model = onnx.load(exported)
    kept = {
        entry.key: entry.value
        for entry in model.metadata_props
        if entry.key not in ("description", "date")
    }
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--opset", type=int, required=True)
    main(**vars(parser.parse_args()))

"""Trains a YOLOv5 from scratch through `ultralytics`, in .venv-detector.

YOLO-format data set → checkpoint of the last epoch (.pt)

Nothing is downloaded (no pretrained weights, no fonts) and nothing is reported to anyone. The
package builds its anchor-free variant of YOLOv5. The checkpoint is the package's own format, a
pickle: open only your own.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import yaml


def main(
    *,
    data: Path,
    out: Path,
    depth: float,
    width: float,
    input_px: int,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    device: str,
    weights: Path | None = None,
) -> None:
    """weights: a checkpoint of the same depth and width to go on from; none trains from scratch."""
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the output, so that the data set's files can be linked instead of copied.
    with tempfile.TemporaryDirectory(dir=out.parent) as temporary:
        work = Path(temporary).resolve()
        quiet(work)
        from ultralytics import YOLO

        model = YOLO(architecture(work, depth, width), task="detect")
        model.train(
            data=linked(data, work),
            project=str(work),
            name="run",
            imgsz=input_px,
            epochs=epochs,
            batch=batch,
            optimizer="AdamW",
            lr0=lr,
            warmup_epochs=1,
            close_mosaic=max(1, epochs // 3),
            mosaic=0.3,
            scale=0.4,
            seed=seed,
            deterministic=True,
            device=device,
            pretrained=str(weights) if weights else False,
            amp=False,  # its self-test would download a network
            plots=False,
            workers=2,
            val=False,  # nothing is chosen on the validation images: the last epoch counts
        )
        shutil.copyfile(work / "run" / "weights" / "last.pt", out)


def quiet(work: Path) -> None:
    """Before the import: no telemetry, no look-ups, no installs, no settings file of the user's."""
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_CONFIG_DIR=str(work))
    from matplotlib import get_data_path
    from ultralytics import settings
    from ultralytics.utils import USER_CONFIG_DIR

    off = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")
    settings.update(dict.fromkeys(off, False))
    # It fetches Arial before every training, used or not, unless a file of that name is there.
    shutil.copyfile(
        Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", USER_CONFIG_DIR / "Arial.ttf"
    )


def architecture(work: Path, depth: float, width: float) -> Path:
    """The package's own YOLOv5 description with one class and our depth and width, as a file."""
    from ultralytics.nn.tasks import yaml_model_load

    description = yaml_model_load("yolov5n.yaml")
    description |= {"nc": 1, "scales": {"n": [depth, width, 1024]}}
    file = work / "yolov5n.yaml"  # the name ends in the scale's letter
    file.write_text(yaml.safe_dump({k: v for k, v in description.items() if k != "yaml_file"}))
    return file


def linked(data: Path, work: Path) -> Path:
    """A description of the data set, linked into the work folder: caches are written beside labels,
    and the data set is an output of another stage.
    """
    shutil.copytree(data, work / "data", copy_function=link)
    file = work / "data.yaml"
    content = {
        "path": str(work / "data"),
        "train": "images/train",
        "val": "images/val",
        "names": {0: "face"},
    }
    file.write_text(yaml.safe_dump(content))
    return file


def link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--depth", type=float, required=True)
    parser.add_argument("--width", type=float, required=True)
    parser.add_argument("--input-px", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--weights", type=Path)
    main(**vars(parser.parse_args()))

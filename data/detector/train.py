"""Trains a YOLOv5 from scratch through `ultralytics`, in .venv-detector.

YOLO-format data set → checkpoint of the last epoch (.pt)

A killed run goes on after its last whole epoch: it keeps its state in `training` beside the output,
until the output is written.

Nothing is downloaded (no pretrained weights, no fonts) and nothing is reported to anyone. The
package builds its anchor-free variant of YOLOv5. The checkpoint is the package's own format, a
pickle: open only your own.
"""

import argparse
import json
import os
import shutil
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
    mosaic: float,
    scale: float,
    turn_deg: float,
    seed: int,
    device: str,
    weights: Path | None = None,
) -> None:
    """mosaic: the share of training images that are four in one, until the last third of the
    epochs; scale: they are resized by up to 1 ± this; turn_deg: turned by up to ± this. weights: a
    checkpoint of the same depth and width to go on from; none trains from scratch.
    """
    settings = {name: str(value) for name, value in locals().items()}
    # Beside the output, so that the data set's files can be linked instead of copied.
    work = kept_work(out.parent / "training", settings)
    quiet(work)
    from ultralytics import YOLO

    last, table = work / "run" / "weights" / "last.pt", work / "run" / "results.csv"
    done = len(table.read_text().splitlines()) - 1 if last.exists() else 0
    if 0 < done < epochs:
        YOLO(last).train(resume=True)
    elif not done:
        YOLO(architecture(work, depth, width), task="detect").train(
            data=linked(data, work),
            project=str(work),
            name="run",
            exist_ok=True,
            imgsz=input_px,
            epochs=epochs,
            batch=batch,
            nbs=batch,  # a step per batch: its default gathers 64 images, too few steps here
            cache="ram",
            optimizer="AdamW",
            lr0=lr,
            warmup_epochs=1,
            close_mosaic=max(1, epochs // 3),
            mosaic=mosaic,
            scale=scale,
            degrees=turn_deg,
            seed=seed,
            deterministic=True,
            device=device,
            pretrained=str(weights) if weights else False,
            amp=False,  # its self-test would download a network
            plots=False,
            workers=2,
            val=False,  # nothing is chosen on the validation images: the last epoch counts
        )
    shutil.copyfile(last, out)
    shutil.rmtree(work)


def kept_work(work: Path, settings: dict[str, str]) -> Path:
    """The work folder: that of a killed run with the same settings, else an empty one."""
    record = work / "settings.json"
    if not record.exists() or json.loads(record.read_text()) != settings:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        record.write_text(json.dumps(settings))
    return work.resolve()


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
    shutil.copytree(data, work / "data", copy_function=link, dirs_exist_ok=True)
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
    Path(target).unlink(missing_ok=True)
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
    parser.add_argument("--mosaic", type=float, required=True)
    parser.add_argument("--scale", type=float, required=True)
    parser.add_argument("--turn-deg", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--weights", type=Path)
    main(**vars(parser.parse_args()))

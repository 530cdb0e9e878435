"""What the four corpora share: parameters, parallel rendering, files with stable bytes, defects."""

import csv
import io
import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import scipy.io
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from data.demo.raster import Floats
from data.demo.render import Image

Pose = tuple[float, float, float]
Job = Callable[[], None]
Count = Annotated[int, Field(ge=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Params300WLP(_Model):
    photos: Count
    views: Count
    size_px: Count


class ParamsAFLW(_Model):
    images: Count
    test_images: Count


class ParamsAFLW2000(_Model):
    size_px: Count


class ParamsBIWI(_Model):
    frames: Count


class DemoParams(_Model):
    """data/demo/params.yaml, whose comments say what each value means."""

    seed: int
    w300lp: Params300WLP = Field(alias="300W_LP")
    aflw: ParamsAFLW = Field(alias="AFLW")
    aflw2000: ParamsAFLW2000 = Field(alias="AFLW2000")
    biwi: ParamsBIWI = Field(alias="BIWI")


def load_params(path: Path) -> DemoParams:
    """The parameters. Raises pydantic.ValidationError naming a wrong key and what it should be."""
    return DemoParams.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Planted:
    """A defect put into a corpus on purpose."""

    face_id: str  # as `index` names faces
    file: str  # the file at fault, relative to the corpus
    defect: str


def render_corpus(
    *,
    out: Path,
    planted: Path,
    jobs: Sequence[Job],
    plant: Callable[[Path], list[Planted]],
    unit: str,
    workers: int | None = None,
) -> None:
    """Runs the jobs, then puts in the defects and lists them in `planted`.

    jobs: each writes one `unit` (photo, video) into `out`; plant: breaks files of `out`.

    The bytes do not depend on the number of workers (default: one per core). Raises FileExistsError
    if `out` already holds something.
    """
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out}: expected a new or an empty folder")
    out.mkdir(parents=True, exist_ok=True)
    workers = workers or os.cpu_count() or 1
    with ExitStack() as stack:
        if workers > 1:
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(context.Pool(workers, _one_thread))
            done: Iterable[None] = pool.imap_unordered(_call, jobs, chunksize=2)
        else:
            done = map(_call, jobs)
        for _ in tqdm(done, total=len(jobs), desc=f"rendering {out.name}", unit=unit):
            pass
    write_planted(plant(out), planted)


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _call(job: Job) -> None:
    job()


def write_planted(defects: Sequence[Planted], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Planted))
        writer.writerows(astuple(defect) for defect in defects)


_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]
# Half the time of the default for a photograph, and no larger.
_PNG = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]


def write_image(image: Image, path: Path) -> None:
    """JPEG of quality 92, or PNG, by the name."""
    ok, code = cv2.imencode(path.suffix, image, _JPEG if path.suffix == ".jpg" else _PNG)
    assert ok
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(code.tobytes())


def write_mat(content: Mapping[str, NDArray[Any]], path: Path) -> None:
    """A MATLAB 5 file without the time of writing in its header: equal content, equal bytes."""
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, dict(content))
    code = bytearray(buffer.getvalue())
    # The header's text field. Another word changes every corpus, and all that follows from it.
    code[:116] = b"MATLAB 5.0 MAT-file, drawn head".ljust(116)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(code)


def pose_para(pyr_deg: Pose, centre_xy: tuple[float, float], scale: float) -> Floats:
    """Pose_Para (1 x 7) of 300W-LP: -pitch, yaw, roll in radians, a translation and a scale."""
    pitch, yaw, roll = np.radians(pyr_deg)
    return np.array([[-pitch, yaw, roll, *centre_xy, 0.0, scale]], dtype=np.float32)


def truncate(path: Path) -> None:
    """Keeps the first half of a file."""
    code = path.read_bytes()
    path.write_bytes(code[: len(code) // 2])


def spread(names: Sequence[str], count: int) -> list[str]:
    """`count` different names, evenly spread over a sorted list."""
    assert len(names) >= count, f"{len(names)} files are too few for {count} defects"
    return [names[(2 * k + 1) * len(names) // (2 * count)] for k in range(count)]


def plant_in_pairs(out: Path, corpus: str, pairs: Sequence[str]) -> list[Planted]:
    """Breaks three .jpg + .mat pairs, named by their paths in the corpus without suffix."""
    torn, alone, undefined = spread(pairs, 3)
    truncate(out / f"{torn}.jpg")
    (out / f"{alone}.mat").unlink()
    content = scipy.io.loadmat(out / f"{undefined}.mat")
    content["Pose_Para"][0, 1] = np.nan
    write_mat(
        {k: v for k, v in content.items() if not k.startswith("__")}, out / f"{undefined}.mat"
    )
    return [
        Planted(f"{corpus}/{torn}", f"{torn}.jpg", "truncated image"),
        Planted(f"{corpus}/{alone}", f"{alone}.mat", "missing label file"),
        Planted(f"{corpus}/{undefined}", f"{undefined}.mat", "pose is not a number"),
    ]


def as_pose(pyr_deg: Sequence[float] | NDArray[np.float64]) -> Pose:
    pitch, yaw, roll = (float(angle) for angle in pyr_deg)
    return pitch, yaw, roll

"""Coverage-guided fuzzing of the readers of the corpora's files (`make fuzz`).

    python -m tests.fuzz mat|pose|sqlite|image|published FOLDER [libFuzzer's options]

Whatever the bytes of one file are, a corpus has to be read, or our own error raised: anything else,
and more than 10 seconds or 2 GB, is a finding. FOLDER keeps the inputs that reached new code; a
finding is a file `crash-…`, `timeout-…` or `oom-…` beside it, and belongs into tests/hostile.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import atheris

os.environ["TQDM_DISABLE"] = "1"
with atheris.instrument_imports(include=["hpe_core", "PIL"]):
    from hpe_core.common.errors import InputError
    from hpe_core.corpora import aflw, biwi, landmarked
    from hpe_core.corpora import entries as common
    from hpe_core.faces.images import check_image, read_image
    from hpe_core.faces.published_boxes import read_published_boxes

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny_corpora as tiny

LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=20000", "-print_final_stats=1"]


def read_both_ways(path: Path) -> None:
    """`check_image` may be content with less than `read_image`, never with another size."""
    size_hw = check_image(path)
    assert read_image(path).shape == (*size_hw, 3)


def mat(folder: Path) -> tuple[Path, Callable[[], object]]:
    tiny.write_300w_lp(folder, ["a_1"])
    path = folder / "AFW" / "a_1.mat"
    tiny.scipy.io.savemat(path, {"Pose_Para": [[0.1] * 7], "pt2d": tiny.POINTS_PX})
    read = partial(landmarked._read_face, folder, "pt2d")
    return path, lambda: common._read_or_skip(read, "AFW/a_1.jpg")


def pose(folder: Path) -> tuple[Path, Callable[[], object]]:
    tiny.write_biwi(folder, ["01"])
    stem, read = "hpdb/01/frame_00003", partial(biwi._read_frame, folder)
    return folder / f"{stem}_pose.txt", lambda: common._read_or_skip(read, f"{stem}_rgb.png")


def sqlite(folder: Path) -> tuple[Path, Callable[[], object]]:
    tiny.write_aflw(folder)
    with closing(tiny.sqlite3.connect(folder / "aflw.sqlite")) as base:
        base.executescript("PRAGMA page_size = 512; VACUUM")  # small, so that bytes count
    return folder / "aflw.sqlite", lambda: common.to_corpus(aflw.read_aflw(folder), "AFLW")


def image(folder: Path) -> tuple[Path, Callable[[], object]]:
    path = folder / "x.png"
    tiny.Image.new("RGB", (8, 8), (90, 120, 30)).save(path)
    return path, lambda: read_both_ways(path)


def published(folder: Path) -> tuple[Path, Callable[[], object]]:
    path = folder / "AFLW.json"
    path.write_text('{"a.jpg": [{"bbox": [1, 2.5, 3, 4], "type": "train", "faceid": 7}]}')
    return path, lambda: read_published_boxes(path)


def more_seeds(target: str, folder: Path) -> None:
    """Images in every format that is accepted: bytes alone won't turn one into another."""
    picture = tiny.Image.new("RGB", (8, 8), (90, 120, 30))
    for suffix in ("jpg", "bmp", "webp", "tiff", "gif") if target == "image" else ():
        picture.save(folder / f"seed.{suffix}")


def main(target: str, inputs: Path, *options: str) -> None:
    makers = {"mat": mat, "pose": pose, "sqlite": sqlite, "image": image, "published": published}
    path, read = makers[target](Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-")))
    inputs.mkdir(parents=True, exist_ok=True)
    (inputs / "seed").write_bytes(path.read_bytes())
    more_seeds(target, inputs)
    common.THREADS = 1

    def once(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read()
        except InputError as error:
            assert str(error), "an error without a message"

    prefix = f"-artifact_prefix={inputs.parent}/"
    atheris.Setup([sys.argv[0], str(inputs), prefix, *LIMITS, *options], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

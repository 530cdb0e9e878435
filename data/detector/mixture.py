"""Sets several data sets side by side: their training images, and the first one's for validation.

data sets → data set
"""

import shutil
from pathlib import Path

from hpe_core.common.errors import InputError
from hpe_core.common.stage import run


def main(*, sources: list[Path], at_most: list[int], out: Path) -> None:
    """sources: data sets of `wider`, `sheets` or `scenes`; at_most: of each one's training images
    so many, the first by name. Files keep their names, behind their data set's.
    """
    if len(at_most) != len(sources):
        raise InputError(f"{len(at_most)} numbers for {len(sources)} data sets; expected one each")
    for source, limit in zip(sources, at_most, strict=True):
        add(source, "train", limit, out)
    add(sources[0], "val", None, out)


def add(source: Path, split: str, limit: int | None, out: Path) -> None:
    folder = source / "images" / split
    images = sorted(folder.glob("*.jpg"))[:limit]
    if not images:
        raise InputError(f"{folder}: no *.jpg there; expected the images of a data set")
    for image in images:
        label = source / "labels" / split / f"{image.stem}.txt"
        for file in (image, label):
            target = out / file.relative_to(source).with_name(f"{source.name}-{file.name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


if __name__ == "__main__":
    run(main)

"""The paths on a command line: images and videos to read, drawings of them, and --out."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import typer

from hpe_core.common.errors import InputError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
    | {".ogv", ".ts", ".webm", ".wmv"}
)
STREAM = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt):/", re.IGNORECASE)  # Path drops a slash
TABLE_SUFFIXES = (".csv", ".json", ".parquet")


@dataclass
class MediaFiles:
    """What a command line names.

    names: each file, and each image in a folder → its name, or its path below the folder.
    empty: folders without an image. ignored: other files in folders, by their ending.
    """

    names: dict[Path, Path] = field(default_factory=dict)
    empty: list[Path] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def note(self) -> str:
        """One line of what was ignored, the most frequent ending first; empty if nothing was."""
        counts = [
            f"{count} {ending}{' (videos: name each itself)' if ending in VIDEO_SUFFIXES else ''}"
            for ending, count in self.ignored.most_common()
        ]
        return f"ignored in folders: {', '.join(counts)}" if counts else ""


def find_media(paths: list[Path], recursive: bool, is_image: Callable[[Path], bool]) -> MediaFiles:
    """Files as named, also missing ones; of folders the images, sorted, no hidden ones.

    is_image: decides by their content of files whose endings do not say it.
    """
    media = MediaFiles()
    for path in paths:
        if not path.is_dir():
            media.names[path] = Path(path.name)
            continue
        there = sorted(path.rglob("*") if recursive else path.iterdir())
        there = [one for one in there if not one.name.startswith(".") and not one.is_dir()]
        images = [one for one in there if one.suffix.lower() in IMAGE_SUFFIXES or is_image(one)]
        media.names |= {one: one.relative_to(path) for one in images}
        media.empty += [] if images else [path]
        left = set(there) - set(images)
        media.ignored.update(one.suffix.lower() or "without ending" for one in left)
    return media


def drawings_of(
    sources: Mapping[Path, Path], folder: Path | None, suffix: str
) -> dict[Path, Path | None]:
    """Source → its drawing in `folder`, None without a folder.

    sources: as `MediaFiles.names`. Raises InputError where a drawing would overwrite a source or
    another drawing.
    """
    if folder is None:
        return dict.fromkeys(sources)
    taken = {path.resolve(): path for path in sources}
    targets: dict[Path, Path | None] = {}
    for source, name in sources.items():
        target = folder / name.with_suffix(suffix)
        if other := taken.get(target.resolve()):
            raise InputError(f"{source}: the path of its drawing, {target}, is taken by {other}")
        taken[target.resolve()] = source
        targets[source] = target
    return targets


def check_name(
    out: Path, suffixes: Iterable[str] | None, otherwise: str = "", option: str = "--out"
) -> None:
    """Raises BadParameter unless `out` is a new or regular file in an existing folder.

    suffixes: the allowed ones, None for any. otherwise, option: other ways out, and the option
    that names the file, for the message.
    """
    expected = f"expected a name that ends in {' or '.join(suffixes)}" if suffixes else ""
    if suffixes and out.suffix.lower() not in suffixes:
        raise typer.BadParameter(f"{option} is {out}; {expected}{otherwise}.")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"{option} is {out}; no such folder: {out.parent}.")
    if out.exists() and not out.is_file():
        raise typer.BadParameter(f"{option} is {out}, which is no regular file; expected one.")


def check_no_input(out: Path, inputs: Iterable[Path | None], option: str = "--out") -> None:
    """Raises BadParameter where `out` is one of the inputs, under any name."""
    if not out.exists():
        return
    for path in inputs:
        if path and path.exists() and out.samefile(path):
            raise typer.BadParameter(f"{option} is {out}, an input; it would be overwritten.")

"""What DVC has on record of an artifact: the stage that wrote it, and the md5 of its bytes.

JSON and CSV have no place for a checksum: a key more would show in `dvc metrics`, a line more would
break `dvc plots`. But dvc.lock has their md5. DVC itself compares it only where a file's size or
time of change is another, which is not so on a damaged disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from pathlib import Path

import yaml

from hpe_core.errors import InputError

LOCK = "dvc.lock"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 4 times as fast


@dataclass(frozen=True)
class Record:
    """An output in dvc.lock: the stage that wrote it, and its md5."""

    stage: str
    md5: str


def recorded_bytes(path: Path) -> bytes:
    """The file's bytes; where a dvc.lock records it, they are those that its stage wrote.

    Raises InputError naming the stage where they are not, or where there is no file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {again(path)}")
    content, record = path.read_bytes(), _record_of(path)
    if record and md5(content, usedforsecurity=False).hexdigest() != record.md5:
        raise damaged(path, f"its md5 is not the {record.md5} of {LOCK}")
    return content


def damaged(path: Path, reason: object, stage: str = "") -> InputError:
    """The error of an artifact that is not what its stage wrote. stage: as for `again`."""
    return InputError(f"{path}: damaged, or changed by hand: {reason}; {again(path, stage)}")


def again(path: Path, stage: str = "") -> str:
    """How to make an artifact again. stage: what makes it where no dvc.lock says so.

    Without --force DVC keeps a file whose size and time of change are as they were; without
    --single-item it would force every stage before this one.
    """
    record = _record_of(path)
    if record:
        return f"run `dvc repro --force --single-item {record.stage}`"
    return f"run {stage or 'the stage that writes it'} again"


def _record_of(path: Path) -> Record | None:
    """From the nearest dvc.lock above the file; None where there is none or it says nothing."""
    absolute = path.absolute()  # not resolved: DVC may link files to its cache
    for folder in absolute.parents:
        lock = folder / LOCK
        if lock.is_file():
            records = _records_of(lock, lock.stat().st_mtime_ns)
            return records.get(absolute.relative_to(folder).as_posix())
    return None


@lru_cache(maxsize=4)
def _records_of(lock: Path, changed_ns: int) -> Mapping[str, Record]:
    try:
        stages = yaml.load(lock.read_text(encoding="utf-8"), _LOADER)["stages"]
        return {
            out["path"]: Record(name, out["md5"])
            for name, stage in stages.items()
            for out in stage.get("outs", [])
        }
    except (ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{lock}: not as DVC writes it: {error}; run `dvc repro`") from error

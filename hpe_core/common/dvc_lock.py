"""What dvc.lock records of an artifact: the stage that wrote it, and the md5 of its bytes.

JSON and CSV have no room for a checksum: an extra key would show up in `dvc metrics`, an extra line
would break `dvc plots`. So readers check the md5 in dvc.lock. DVC itself does so only if a file's
size or modification time changed, and a damaged disk changes neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from pathlib import Path

import yaml

from hpe_core.common.errors import InputError

LOCK = "dvc.lock"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 4 times as fast


@dataclass(frozen=True)
class Record:
    stage: str
    md5: str


def recorded_bytes(path: Path) -> bytes:
    """The file's bytes, checked against dvc.lock if that records the file.

    Raises InputError that names the stage if the file is missing or its md5 differs.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {how_to_remake(path)}")
    content, record = path.read_bytes(), _record_of(path)
    if record and md5(content, usedforsecurity=False).hexdigest() != record.md5:
        raise damaged(path, f"its md5 is not the {record.md5} of {LOCK}")
    return content


def damaged(path: Path, reason: object, stage: str = "") -> InputError:
    """The error for an artifact that is not what its stage wrote. stage: as in `how_to_remake`."""
    remedy = how_to_remake(path, stage)
    return InputError(f"{path}: damaged, or changed by hand: {reason}; {remedy}")


def how_to_remake(path: Path, stage: str = "") -> str:
    """Tells the user how to make an artifact again. stage: used if no dvc.lock names one.

    Without --force, DVC keeps a file whose size and modification time have not changed. Without
    --single-item, it would also re-run every stage before this one.
    """
    record = _record_of(path)
    if record:
        return f"run `dvc repro --force --single-item {record.stage}`"
    return f"run {stage or 'the stage that writes it'} again"


def _record_of(path: Path) -> Record | None:
    """From the nearest dvc.lock above the file; None if there is none or it lacks the file."""
    absolute = path.absolute()  # not resolved: DVC may link files into its cache
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
        raise InputError(f"{lock}: not a valid dvc.lock: {error}; run `dvc repro`") from error

"""Unfinished training: everything that its next epoch depends on, replaced after each."""

import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from hpe_core.io.files import atomic
from hpe_core.io.work import Work, undamaged


class SavedState:
    """A mapping of tensors and plain values; of several processes the first writes it."""

    def __init__(self, work: Work) -> None:
        self.work, self.path = work, work.folder / "state.pt"

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last; None where none was."""
        if not self.path.exists():
            return None
        with undamaged(self.path):
            _check_archive(self.path)
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        self.work.says(state.pop("kept"))
        return state

    def save(self, state: Mapping[str, Any], kept: str) -> None:
        """kept: what is saved, as for `Work.says`."""
        if self.work.first:
            data = BytesIO()  # of a disk's errors torch says other things
            torch.save({**state, "kept": kept}, data)
            with atomic(self.path) as temporary:
                temporary.write_bytes(data.getbuffer())
        self.work.says(kept)


def _check_archive(path: Path) -> None:
    """The checksums of a zip archive, which torch does not verify."""
    with zipfile.ZipFile(path) as archive:
        member = archive.testzip()
    if member:
        raise zipfile.BadZipFile(f"checksum of {member}")

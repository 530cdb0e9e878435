"""The state of unfinished training: everything the next epoch depends on, saved after each."""

import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import torch

from hpe_core.common.files import atomic
from hpe_core.work.resume import Work, undamaged


class SavedState:
    """A mapping of tensors and plain values on disk; only the first process writes it."""

    def __init__(self, work: Work) -> None:
        self.work, self.path = work, work.folder / "state.pt"

    def load(self) -> dict[str, Any] | None:
        """The state saved last, or None."""
        if not self.path.exists():
            return None
        with undamaged(self.path):
            with zipfile.ZipFile(self.path) as archive:
                if member := archive.testzip():  # verifies checksums, which torch does not
                    raise zipfile.BadZipFile(f"checksum of {member}")
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        self.work.note_saved(state.pop("saved"))
        return state

    def save(self, state: Mapping[str, Any], saved: str) -> None:
        """saved: as in `Work.note_saved`."""
        if self.work.first:
            data = BytesIO()  # torch.save to a file would hide the OSError of a full disk
            torch.save({**state, "saved": saved}, data)
            with atomic(self.path) as temporary:
                temporary.write_bytes(data.getbuffer())
        self.work.note_saved(saved)

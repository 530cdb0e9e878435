"""Foreign networks: each case writes one .pth, `path`, that is said to be a student with resnet8.

`sentinel` is a file that a payload would make.
"""

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from hostile.case import accepted, error

from hpe_core.networks.bins import BinSpec
from hpe_core.networks.model import StudentNet


def state(backbone: str = "resnet8") -> OrderedDict[str, Any]:
    torch.manual_seed(0)
    return OrderedDict(StudentNet(backbone, BinSpec()).state_dict())


class Payload:
    """What unpickling it runs."""

    def __init__(self, sentinel: Path) -> None:
        self.command = f"touch '{sentinel}'"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@accepted
def a_plain_state_dict(path: Path, sentinel: Path) -> None:
    torch.save(state(), path)


@accepted
def the_format_before_zip(path: Path, sentinel: Path) -> None:
    torch.save(state(), path, _use_new_zipfile_serialization=False)


@error("foreign.pth: cannot be read as plain weights", "system")
def a_payload_among_the_tensors(path: Path, sentinel: Path) -> None:
    torch.save(state() | {"extra": Payload(sentinel)}, path)


@error("foreign.pth: cannot be read as plain weights", "system")
def a_payload_in_the_format_before_zip(path: Path, sentinel: Path) -> None:
    torch.save({"extra": Payload(sentinel)}, path, _use_new_zipfile_serialization=False)


@error("foreign.pth: cannot be read as plain weights")
def a_bare_pickle(path: Path, sentinel: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(sentinel)))


@error("foreign.pth: cannot be read as plain weights")
def a_whole_module(path: Path, sentinel: Path) -> None:
    """A class of ours, not weights: loading it would import and call."""
    torch.save(StudentNet("resnet8", BinSpec()), path)


@error("foreign.pth", "found others under", "epoch")
def weights_among_other_things(path: Path, sentinel: Path) -> None:
    torch.save({"state_dict": state(), "epoch": 3}, path)


@error("foreign.pth: weights don't fit", "missing", "head_net.pitch.bias")
def a_name_is_missing(path: Path, sentinel: Path) -> None:
    torch.save({k: v for k, v in state().items() if k != "head_net.pitch.bias"}, path)


@error("foreign.pth: weights don't fit", "unexpected", "extra")
def a_name_too_many(path: Path, sentinel: Path) -> None:
    torch.save(state() | {"extra": torch.zeros(1)}, path)


@error("foreign.pth: weights don't fit", "head_net.yaw.bias", "[7]", "[198]")
def a_tensor_of_another_shape(path: Path, sentinel: Path) -> None:
    torch.save(state() | {"head_net.yaw.bias": torch.zeros(7)}, path)


@error("foreign.pth: weights don't fit", "unexpected", "layer4")
def another_architecture(path: Path, sentinel: Path) -> None:
    torch.save(state("resnet10"), path)


@error("foreign.pth: 17 bins; expected one of [50, 66, 99, 198]")
def other_bins(path: Path, sentinel: Path) -> None:
    torch.save(state() | {"head_net.yaw.weight": torch.zeros(17, 256)}, path)


@error("foreign.pth: 0 bins; expected one of [50, 66, 99, 198]")
def a_head_without_dimensions(path: Path, sentinel: Path) -> None:
    torch.save(state() | {"head_net.yaw.weight": torch.tensor(1.0)}, path)


@error("foreign.pth", "finite", "head_net.yaw.bias")
def weights_with_nan(path: Path, sentinel: Path) -> None:
    torch.save(state() | {"head_net.yaw.bias": torch.full((198,), torch.nan)}, path)


@error("foreign.pth", "named tensors", "found others under [3]")
def a_number_for_a_name(path: Path, sentinel: Path) -> None:
    torch.save(state() | {3: torch.zeros(1)}, path)


@error("foreign.pth: weights don't fit", "head_net.yaw.bias", "1000000000000")
def a_tensor_of_terabytes_in_four_bytes(path: Path, sentinel: Path) -> None:
    """One number, repeated by a stride of 0."""
    torch.save(state() | {"head_net.yaw.bias": torch.zeros(1).expand(10**12)}, path)


@error("foreign.pth: cannot be read as plain weights")
def cut_in_half(path: Path, sentinel: Path) -> None:
    torch.save(state(), path)
    os.truncate(path, path.stat().st_size // 2)


@error("foreign.pth: cannot be read as plain weights")
def zero_bytes(path: Path, sentinel: Path) -> None:
    path.write_bytes(b"")


@error("foreign.pth: cannot be read as plain weights")
def a_zip_of_something_else(path: Path, sentinel: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.txt", "x")


@error("foreign.pth: cannot be read as plain weights")
def a_folder(path: Path, sentinel: Path) -> None:
    path.mkdir()


@error("foreign.pth: no such weights file")
def a_link_to_nothing(path: Path, sentinel: Path) -> None:
    path.symlink_to("nowhere.pth")

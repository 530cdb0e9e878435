"""What `hpe doctor` looks at, first of all whether the packages can be imported."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

from hpe_core.errors import InputError

PACKAGES = {  # distribution → what is imported of it
    "hpe-offset-ensemble": "hpe_core",
    **{"numpy": "numpy", "pandas": "pandas", "pillow": "PIL", "opencv-python-headless": "cv2"},
    **{"torch": "torch", "torchvision": "torchvision", "onnxruntime": "onnxruntime"},
    **{"safetensors": "safetensors", "pyarrow": "pyarrow", "h5py": "h5py"},
}


@dataclass(frozen=True)
class Check:
    name: str
    state: Literal["ok", "skipped", "failed"]
    found: str


def checks(
    network: Path | None, detector: Path | None, device: str, image: Path | None
) -> Iterator[Check]:
    """One after the other, as they are done."""
    yield Check("python", "ok", f"{platform.python_version()}, {platform.platform()}")
    packages = [
        _checked(name, partial(_version, name, module)) for name, module in PACKAGES.items()
    ]
    yield from packages
    if any(package.state == "failed" for package in packages):
        yield Check("devices, network, one face", "skipped", "without the packages")
        return
    from hpe_core.cli import _tried  # imports them

    yield _checked("devices", _tried.devices)
    if network is None:
        if detector:
            yield _checked("detector", partial(_tried.detector, detector))
        yield Check("network, one face", "skipped", "give --network")
        return
    opened = _tried.Opened(network, detector, device)
    yield _checked("network", opened.load)
    yield _checked("one face", partial(opened.face, image))


def _checked(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", check())
    except (InputError, OSError) as error:
        return Check(name, "failed", str(error))


def _version(distribution: str, module: str) -> str:
    try:
        import_module(module)
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise InputError("not installed") from None
    except Exception as error:  # a broken package raises anything
        raise InputError(f"cannot be imported: {error}") from None

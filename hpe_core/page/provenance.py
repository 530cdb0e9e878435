"""Provenance of the page: the code, the packages and the files that its numbers come from."""

import re
import subprocess
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pandas as pd

from hpe_core.common.errors import InputError
from hpe_core.common.files import sha256

DISTRIBUTION = "hpe-offset-ensemble"
# Written by the pipeline itself: every run changes them before they are committed.
_OWN_RESULTS = ("dvc.lock", "metrics")
_CODE = ("hpe_core/", "pipeline/")  # untracked files elsewhere take no part in a run


@dataclass(frozen=True)
class Checkout:
    """commit: 40 digits, "" outside a git checkout; changed: files that differ from it, and new
    files of the code.
    """

    commit: str
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """files: path, sha256; packages: package, version; params: params.yaml as it stands."""

    checkout: Checkout
    files: pd.DataFrame
    packages: pd.DataFrame
    params: str


def origin_of(checkout: Path, params: Path, files: Sequence[Path]) -> Origin:
    """files: those that the numbers come from."""
    digests = {"file": map(str, files), "sha256": map(sha256, files)}
    packages = package_versions(checkout).items()
    return Origin(
        checkout_of(checkout),
        pd.DataFrame(digests),
        pd.DataFrame(packages, columns=["package", "version"]),
        params.read_text("utf-8"),
    )


def checkout_of(folder: Path) -> Checkout:
    """What git says of a folder, results of the pipeline left out."""
    commit = _git(folder, "rev-parse", "HEAD").strip()
    if not commit:
        return Checkout("")
    exclude = [f":(top,exclude){name}" for name in _OWN_RESULTS]
    how = ["--porcelain", "-z", "--no-renames", "--untracked-files=normal"]
    lines = _git(folder, "status", *how, "--", ":/", *exclude).split("\0")
    found = [(line[:2], line[3:]) for line in lines if line]
    changed = [name for state, name in found if state != "??" or name.startswith(_CODE)]
    return Checkout(commit, tuple(sorted(changed)))


def _git(folder: Path, *words: str) -> str:
    """The output of a git command; "" without git, or outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def package_versions(checkout: Path) -> dict[str, str]:
    """Installed packages that this project requires, sorted by name.

    What it requires stands in the checkout's pyproject.toml; without one, in the metadata of the
    installed project (of an editable one they may be older); {} if there is neither. Raises
    InputError for a pyproject.toml that cannot be read.
    """
    path = checkout / "pyproject.toml"
    found = {}
    with suppress(PackageNotFoundError):  # neither
        wanted = _required_by(path) if path.exists() else requires(DISTRIBUTION) or []
        for name in sorted({re.split(r"[^\w.-]", line)[0] for line in wanted}):
            with suppress(PackageNotFoundError):  # of an extra
                found[name] = version(name)
    return found


def _required_by(pyproject: Path) -> list[str]:
    try:
        project = tomllib.loads(pyproject.read_text("utf-8")).get("project", {})
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML
        raise InputError(f"{pyproject}: cannot be read as TOML: {error}") from error
    extras = project.get("optional-dependencies", {}).values()
    return [line for lines in (project.get("dependencies", []), *extras) for line in lines]

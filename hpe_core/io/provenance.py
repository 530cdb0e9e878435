"""Which code and which packages are at work: what a result's page says of its origin."""

import subprocess
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from hpe_core.errors import InputError

DISTRIBUTION = "hpe-offset-ensemble"
# What the pipeline itself writes: changed in every run before it is committed.
_OWN_RESULTS = ("dvc.lock", "metrics")
_CODE = ("hpe_core/", "pipeline/")  # what git does not know of elsewhere takes no part in a run


@dataclass(frozen=True)
class Checkout:
    """commit: 40 digits, "" outside of a git checkout; changed: files that differ from it, and new
    ones among the code.
    """

    commit: str
    changed: tuple[str, ...] = ()


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
    """Its output; "" where there is no git, or no checkout of it."""
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
    wanted = _required_by(path) if path.exists() else _required_by_installed()
    names = sorted({_name_of(line) for line in wanted})
    return {name: found for name in names if (found := _version(name))}


def _required_by(pyproject: Path) -> list[str]:
    try:
        project = tomllib.loads(pyproject.read_text("utf-8")).get("project", {})
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML
        raise InputError(f"{pyproject}: cannot be read as TOML: {error}") from error
    extras = project.get("optional-dependencies", {}).values()
    return [line for lines in (project.get("dependencies", []), *extras) for line in lines]


def _required_by_installed() -> list[str]:
    try:
        return requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []


def _name_of(requirement: str) -> str:
    """`torch>=2.13; extra == "x"` → torch."""
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), None)
    return requirement[:end]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

"""Which code and which packages are at work: what a result's page says of its origin."""

import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

DISTRIBUTION = "hpe-offset-ensemble"
# What the pipeline itself writes: changed in every run before it is committed.
_OWN_RESULTS = ("dvc.lock", "metrics")


@dataclass(frozen=True)
class Checkout:
    """commit: 40 digits, "" outside of a git checkout; changed: files that differ from it."""

    commit: str
    changed: tuple[str, ...] = ()


def checkout_of(folder: Path) -> Checkout:
    """What git says of a folder, results of the pipeline left out."""
    commit = _git(folder, "rev-parse", "HEAD").strip()
    if not commit:
        return Checkout("")
    exclude = [f":(top,exclude){name}" for name in _OWN_RESULTS]
    lines = _git(folder, "status", "--porcelain", "-z", "--no-renames", "--", ":/", *exclude)
    return Checkout(commit, tuple(sorted(line[3:] for line in lines.split("\0") if line)))


def _git(folder: Path, *words: str) -> str:
    """Its output; "" where there is no git, or no checkout of it."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def package_versions() -> dict[str, str]:
    """Installed packages that this project names in pyproject.toml, sorted; {} if it is installed
    nowhere.
    """
    try:
        wanted = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}
    names = sorted({_name_of(line) for line in wanted})
    return {name: found for name in names if (found := _version(name))}


def _name_of(requirement: str) -> str:
    """`torch>=2.13; extra == "x"` → torch."""
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), None)
    return requirement[:end]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

"""What the pages point at is there."""

import json
import re
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("data/**/*.md")]
PAGES = [page for page in PAGES if "corpora" not in page.parts]


def text_of(page: Path) -> str:
    """Without its blocks of code, in which # and ]( are no headings and links."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def linked(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text_of(page))


@pytest.mark.parametrize("page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES])
def test_links_lead_somewhere(page):
    for target in linked(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_page_is_in_the_index_and_every_picture_on_a_page():
    docs = ROOT / "docs"
    listed = {docs / target for target in linked(docs / "README.md")}
    assert {*docs.glob("**/*.md")} == listed | {docs / "README.md"}
    shown = {(page.parent / target).resolve() for page in PAGES for target in linked(page)}
    assert {path for path in docs.glob("**/*") if path.suffix in {".png", ".jpg"}} <= shown


def cells(path: str) -> list[dict[str, str]]:
    """The rows of a page's table of results, by the names of its columns."""
    lines = (ROOT / path).read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| test "))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[start:]]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2 : rows.index([])]]


def test_the_demos_page_shows_its_own_table():
    """Its columns are some of the summary's; no row is left out."""
    shown, found = cells("docs/demo.md"), cells("metrics/tables/summary.md")
    assert {"test", "network", "MAE", "95 %", "gain"} <= set(shown[0])
    assert shown == [{name: row[name] for name in shown[0]} for row in found]


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    assert len(text.encode()) <= 9_000


PATCHES = re.findall(
    r"^```diff\n(.*?)^```$", (ROOT / "docs/new-backbone.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("patch", [pytest.param(p, id=f"{at}") for at, p in enumerate(PATCHES)])
def test_patches_of_new_backbones_apply(patch):
    command = ["git", "apply", "--check"]
    done = subprocess.run(command, input=patch, text=True, capture_output=True, cwd=ROOT)
    assert not done.returncode, done.stderr


def test_both_patches_are_found():
    assert len(PATCHES) == 2


def test_the_page_of_the_demo_counts_its_faces():
    names = ("300W_LP", "AFLW2000", "AFLW", "BIWI")
    counts = [
        json.loads((ROOT / f"metrics/corpora/{name}/faces.json").read_text())["faces"]
        for name in names
    ]
    assert " + ".join(f"{count:,}" for count in counts) in (ROOT / "docs/demo.md").read_text()


def test_what_pages_import_is_there_and_public():
    public = (ROOT / "CONTRIBUTING.md").read_text()
    for page in PAGES:
        line = r"from (hpe_core[\w.]*) import ([\w, ]+)"
        for module, names in re.findall(line, page.read_text()):
            for name in names.split(", "):
                assert hasattr(import_module(module), name), f"{page.name}: {module}.{name}"
                assert module in public, f"{page.name}: {module}"
                assert name in public, f"{page.name}: {name}"


def test_files_of_a_change_are_there():
    rows = re.findall(
        r"^\| (?:change|add) .*\|(.*)\|$", (ROOT / "CONTRIBUTING.md").read_text(), re.M
    )
    assert len(rows) == 5
    for path in re.findall(r"`([^`]+)`", " ".join(rows)):
        if "NAME" not in path:
            assert (ROOT / path).exists() or (ROOT / "hpe_core" / path).exists(), path

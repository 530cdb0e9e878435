"""What the pages point at is there."""

import json
import re
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


def test_the_readme_shows_the_demos_own_table():
    def rows(path: str) -> list[str]:
        lines = (ROOT / path).read_text().splitlines()
        header = next(at for at, line in enumerate(lines) if line.startswith("| test "))
        return lines[header : lines.index("", header)]

    assert rows("README.md") == rows("metrics/tables/summary.md")


def test_the_page_of_the_demo_counts_its_faces():
    names = ("300W_LP", "AFLW2000", "AFLW", "BIWI")
    counts = [
        json.loads((ROOT / f"metrics/faces/{name}.json").read_text())["faces"] for name in names
    ]
    assert " + ".join(f"{count:,}" for count in counts) in (ROOT / "docs/demo.md").read_text()

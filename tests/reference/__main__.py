"""Writes the reference in docs/reference from what the code says of itself, and README's graph.

    python -m tests.reference

`tests/test_reference.py` compares the committed pages with what this gives.
"""

from pathlib import Path

from tests.reference import artifacts, commands, mermaid, params

PAGES = {
    "params.md": params.page,
    "artifacts.md": artifacts.page,
    "commands.md": commands.page,
}
FOLDER = Path(__file__).parents[2] / "docs/reference"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    mermaid.README.write_text(mermaid.readme(), encoding="utf-8")

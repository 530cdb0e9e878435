"""The sections of the page that say what went in: faces kept and dropped, code, files, settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from hpe_core.page import Block, Code, Section, Text, plain_table
from hpe_core.readable import NOTHING
from hpe_core.sheets import Results

Report = Mapping[str, Any]
_NAMED = 20  # changed files


def counts_section(
    results: Results, boxes: Mapping[str, Report], leaks: Mapping[str, Mapping[str, Report]]
) -> Section:
    """boxes: dataset → what `redetect` reports; leaks: protocol → what `leaks` reports."""
    found = [{"dataset": name, **_box_counts(own)} for name, own in boxes.items()]
    kept = [
        {"dataset": name, "labels": own["before"], **_words(own["dropped"]), "kept": own["faces"]}
        for name, own in results.counts.items()
    ]
    splits = [
        {"dataset": name, "split": split or NOTHING, "faces": faces}
        for name, own in results.counts.items()
        for split, faces in own["by_split"].items()
    ]
    shared = [
        {"protocol": protocol, "test": test, "in both": kind, **_shared(count)}
        for protocol, tests in leaks.items()
        for test, kinds in tests.items()
        for kind, count in kinds.items()
    ]
    blocks: list[Block] = [
        Text(
            "What became of every label of the corpora. Which faces a protocol takes of them: "
            "Table 1."
        ),
        plain_table(
            "Faces found in the images",
            found,
            "matched: a detection, or a published box, lies on the labelled face; from the label: "
            "without one its annotated box is used; score, IoU: medians of the matched.",
        ),
        plain_table("Labels kept and dropped, by reason", kept),
        plain_table("Kept faces by the corpus's own split", splits),
        plain_table(
            "Photographs and subjects in both a training set and its test set",
            shared,
            "– where the corpus does not name its subjects. Which ones: metrics/leaks/*.csv.",
        ),
    ]
    return Section("counts", "Counts and drops", blocks)


def _box_counts(report: Report) -> dict[str, Any]:
    names = {
        "images": "images",
        "faces": "faces",
        "matched": "matched",
        "unmatched": "unmatched",
        "annotated": "from the label",
    }
    counts = {words: report.get(name, NOTHING) for name, words in names.items()}
    medians = {"score": "det_score", "IoU": "match_iou"}
    return counts | {
        words: float(report[name]["q50"]) if name in report else NOTHING
        for words, name in medians.items()
    }


def _shared(count: Report | None) -> dict[str, Any]:
    keys = {"shared": "shared", "training_faces": "training faces", "test_faces": "test faces"}
    return {words: count[key] if count else NOTHING for key, words in keys.items()}


def _words(counts: Mapping[str, int]) -> dict[str, int]:
    return {name.replace("_", " "): count for name, count in counts.items()}


def provenance_section(
    commit: str,
    changed: Sequence[str],
    files: Mapping[str, str],
    packages: Mapping[str, str],
    params: str,
) -> Section:
    """commit: "" outside of a git checkout; changed: files that differ from it; files: path →
    sha256; packages: name → version; params: params.yaml as it stands.
    """
    blocks: list[Block] = [
        Text(_written_by(commit, changed)),
        Text(
            "DVC keeps this page until something changes that it depends on. After a later commit "
            "that changed nothing of it, it still names the commit that wrote it."
        ),
        Code("The same again, where the corpora lie as params.yaml says", _commands(commit)),
        plain_table(
            "Files that the numbers come from",
            [{"file": path, "sha256": digest} for path, digest in files.items()],
            "As `sha256sum` prints them.",
        ),
        plain_table(
            "Versions in the environment that wrote this page",
            [{"package": name, "version": found} for name, found in packages.items()],
        ),
        Code("params.yaml", params),
    ]
    return Section("provenance", "Provenance", blocks)


def _written_by(commit: str, changed: Sequence[str]) -> str:
    if not commit:
        return "Which code wrote this page is not known: it was no git checkout."
    if not changed:
        return f"Written by commit {commit}, without uncommitted changes."
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    return (
        f"Written by commit {commit} with changes that are not committed, so this commit alone "
        f"does not give this page. Changed: {', '.join(changed[:_NAMED])}{more}."
    )


def _commands(commit: str) -> str:
    first = f"git checkout {commit}\n" if commit else ""
    return f"{first}dvc repro report"

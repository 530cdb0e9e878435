"""Labelled faces for `hpe evaluate` and `hpe export`: a test set's, or those of any corpus."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpe_core.common.errors import InputError
from hpe_core.common.files import read_json
from hpe_core.common.settings import load, load_item
from hpe_core.common.table_files import ANNOTATED_BOX, DETECTED_BOX, PUBLISHED_PYR, read_table
from hpe_core.corpora.entries import MissingCorpusError
from hpe_core.corpora.inventory import looks_like
from hpe_core.corpora.names import ReaderName
from hpe_core.corpora.readers import read_corpus
from hpe_core.corpora.selection import Accepted, select_rows
from hpe_core.corpora.settings import Data, Test
from hpe_core.evaluation.settings import Evaluate
from hpe_core.faces.box_table import (
    UNREADABLE,
    at_annotated_box,
    with_network_boxes,
    with_shaped_boxes,
)
from hpe_core.faces.detector import Detector
from hpe_core.faces.images import OWN_TABLES
from hpe_core.faces.redetection import Search, find_faces
from hpe_core.faces.settings import BoxRules
from hpe_core.predictor import find_detector
from hpe_core.runtime.network import OpenNetwork

YAW_BANDS_DEG = (0.0, 30.0, 60.0, 99.0)  # for a corpus; a test set has those of params.yaml
# Where the stage `filter` writes.
FACES_FOLDER, COUNTS_FOLDER = Path("data/faces"), Path("metrics/corpora")

LOST_COLUMNS = ["face_id", "image", "why", "reason"]


@dataclass(frozen=True)
class LabelledFaces:
    """Faces with labels and boxes, in images below `folder`.

    table: face_id, image, pitch, yaw, roll (degrees), order (of the corpus), the box that the
        network sees, box_source.
    lost: `LOST_COLUMNS`, one row per face or file of the corpus that is not in `table`. `why` names
        the cause, in the words of `filter` where it has one; `reason` gives the details.
    left_out: for a test set, how many faces of its corpus each rule of `filter` dropped.
    """

    name: str
    folder: Path
    table: pd.DataFrame
    lost: pd.DataFrame
    yaw_bands_deg: Sequence[float]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusChoice:
    """The faces of a corpus to take. detector: None takes the one of the network's training."""

    folder: Path
    reader: ReaderName
    where: Accepted
    boxes: Literal["detector", "annotated"]
    detector: Path | None


def test_set_faces(params: Path, name: str, network: OpenNetwork) -> LabelledFaces:
    """The faces that the pipeline selected for a test set. Run it at the project's root.

    Says on stderr which box rules differ from those of the network's training. Raises InputError
    for an unknown test set, and where `dvc repro` has not made the face table yet.
    """
    test = load_item(params, "tests", name, Test)
    _note_other_boxes(params, network)
    table = read_table(
        FACES_FOLDER / f"{test.dataset}.parquet", ["face_id", "image", "order", *DETECTED_BOX]
    )
    return LabelledFaces(
        name,
        Path(load(params, "data", Data).root) / test.dataset,
        select_rows(table, test.where, f"tests.{name}"),
        pd.DataFrame(columns=LOST_COLUMNS),
        load(params, "evaluate", Evaluate).yaw_bands_deg,
        read_json(COUNTS_FOLDER / test.dataset / "faces.json")["dropped"],
    )


def corpus_faces(
    choice: CorpusChoice, network: OpenNetwork, params: Path, at_most: int | None = None
) -> LabelledFaces:
    """The faces of a corpus outside the pipeline: read, selected and found as the stages do it.

    params: its box rules serve a .pth, which records none. at_most: takes a random sample of so
    many faces, the same one every time. Raises InputError for a corpus that cannot be read, where
    no face is selected, and where a detector is needed and not found.
    """
    folder, name = choice.folder, choice.folder.resolve().name
    rules = network.boxes or load(params, "boxes", BoxRules)
    detector = _open_detector(choice, network, rules)
    with redirect_stdout(sys.stderr):  # stdout is for results; readers print notes
        try:
            corpus = read_corpus(choice.reader, folder, name)
        except MissingCorpusError as error:
            raise InputError(_why_missing(error, choice.reader, folder)) from None
    faces = select_rows(corpus.faces, choice.where, f"--where, of {folder}")
    if at_most is not None:
        faces = faces.iloc[np.sort(random_rows(len(faces), at_most))]
    unread = corpus.skipped.rename(columns={"file": "image"}).assign(face_id="", why="unreadable")
    if choice.where and len(unread):
        _note(
            f"{len(unread)} of the corpus cannot be read; whether --where means them is not "
            "known, and they are not counted"
        )
        unread = unread.head(0)
    beyond = (faces[PUBLISHED_PYR].abs() > network.theta_deg).any(axis=1)
    limit = f"expected angles within ±{network.theta_deg:g}°"
    too_far = lost_faces(faces[beyond], "angle_over_limit", limit)
    found, missing = _find_boxes(faces[~beyond], folder, rules, detector)
    lost = pd.concat([unread[LOST_COLUMNS], too_far, missing])
    return LabelledFaces(name, folder, found, lost, YAW_BANDS_DEG)


def random_rows(count: int, at_most: int) -> NDArray[np.int64]:
    """At most so many of `count` row numbers in random order, the same ones every time."""
    return np.random.default_rng(0).permutation(count)[:at_most]


def lost_faces(faces: pd.DataFrame, why: str | np.ndarray, reason: str | pd.Series) -> pd.DataFrame:
    """`LOST_COLUMNS` of these rows of a face table."""
    return faces[["face_id", "image"]].assign(why=why, reason=reason)


def tables_read(corpus: Path | None) -> list[Path]:
    """The tables that a measurement reads: those of a corpus, or, with None, the stages'."""
    if corpus is not None:
        return [corpus / name for name in OWN_TABLES]
    return [*FACES_FOLDER.glob("*"), *COUNTS_FOLDER.glob("*/faces.json")]


def _open_detector(choice: CorpusChoice, network: OpenNetwork, rules: BoxRules) -> Detector | None:
    """None for annotated boxes."""
    if choice.boxes == "annotated":
        return None
    path = choice.detector
    if path is None and rules.source == "published":
        raise InputError(
            f"{network.path}: trained on published boxes; give a --detector, or --boxes annotated"
        )
    if path is None and network.boxes:
        try:
            path = find_detector(network.path, rules.path)
        except InputError as error:
            raise InputError(f"{error}, or give --boxes annotated") from None
    path = path or Path(rules.path)
    if not path.is_file():
        raise InputError(f"{path}: no such detector; give --detector, or --boxes annotated")
    return Detector.by(rules, path)


def _note(message: str) -> None:
    print(f"note: {message}", file=sys.stderr)


def _note_other_boxes(params: Path, network: OpenNetwork) -> None:
    ours = asdict(load(params, "boxes", BoxRules))
    for name, value in asdict(network.boxes).items() if network.boxes else ():
        if name != "path" and value != ours[name]:
            _note(
                f"boxes.{name} is {ours[name]!r} in {params}, but was {value!r} in the training "
                f"of {network.path}"
            )


def _why_missing(error: MissingCorpusError, reader: ReaderName, folder: Path) -> str:
    """Without the advice for the pipeline; names the reader whose layout the folder has."""
    other = looks_like(folder)
    if other in (None, reader):
        return f"{error.reason} {error.layout.source}"
    return f"{folder}: no layout of {reader}; it looks like {other}: give --reader {other}"


def _find_boxes(
    faces: pd.DataFrame, folder: Path, rules: BoxRules, detector: Detector | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The faces with the boxes that the network sees, and the lost faces."""
    if detector is None:
        boxless = faces[faces[ANNOTATED_BOX].isna().any(axis=1)]
        reason = "the corpus has none; --boxes detector finds one"
        lost = lost_faces(boxless, "no_annotated_box", reason)
        return with_shaped_boxes(at_annotated_box(faces), rules), lost
    boxed = find_faces(Search(faces, folder, detector, rules.match_iou, title="detector"))
    found = with_network_boxes(faces, boxed, rules)
    reasons = boxed.reasons.drop(found.index, errors="ignore").astype("str")
    why = np.where(reasons.str.startswith(UNREADABLE), "unreadable", "no_match")
    return found, lost_faces(faces.loc[reasons.index], why, reasons)

"""The faces that `hpe evaluate` measures a network on: of a test set, or of any corpus."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from tqdm import tqdm

from hpe_core.cli._corpora import looks_like, without_advice
from hpe_core.cli._networks import Opened
from hpe_core.errors import InputError
from hpe_core.io.annotations import read_corpus
from hpe_core.io.detector import Detector
from hpe_core.io.files import read_json
from hpe_core.io.readers.table import TABLES
from hpe_core.io.redetection import MEASURED, OUTSIDE, UNREADABLE, measure_images
from hpe_core.io.tables import ANNOTATED_BOX, DETECTED_BOX, PYR, read_table, select
from hpe_core.params.faces import Boxes
from hpe_core.params.loading import load, load_item
from hpe_core.params.protocols import Data, Test
from hpe_core.params.results import Evaluate
from hpe_core.predictor import find_detector, shaped

YAW_BANDS_DEG = (0.0, 30.0, 60.0, 99.0)  # of a corpus; those of a test set are params.yaml's
FACES, COUNTS = Path("data/faces"), Path("metrics/faces")  # where dvc.yaml has `filter` write

LOST = ["face_id", "image", "why", "reason"]
# Why a face is not evaluated; the first three in the words of `filter`.
UNREAD, NO_MATCH, TOO_FAR = "unreadable", "no_match", "angle_over_limit"
NO_BOX, NOT_CUT = "no_annotated_box", "not_cut"

Where = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Labelled:
    """Faces, their labels and boxes. Images lie below `folder`.

    table: face_id, image, pitch, yaw, roll (degrees), the box that a network sees, box_source.
    lost: what of the corpus is not in it, a row each: face_id, image, why, reason.
    left_out: of a test set's whole corpus, what `filter` had left out before: rule → faces.
    """

    name: str
    folder: Path
    table: pd.DataFrame
    lost: pd.DataFrame
    yaw_bands_deg: Sequence[float]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class BoxRules:
    """How the boxes of a corpus are made. detector: None for the annotated ones."""

    rules: Boxes
    detector: Detector | None


def of_test(params: Path, name: str, network: Opened) -> Labelled:
    """A test set as the pipeline found, kept and selected its faces. Run at the project's root.

    On stderr it says which rules for boxes differ from those of the network's training. Raises
    InputError for an unknown test set, and before `dvc repro` has made the face table.
    """
    test = load_item(params, "tests", name, Test)
    _note_other_boxes(params, network)
    table = read_table(FACES / f"{test.dataset}.parquet", ["face_id", "image", *DETECTED_BOX])
    return Labelled(
        name,
        Path(load(params, "data", Data).root) / test.dataset,
        _selected(table, test.where, f"tests.{name}"),
        pd.DataFrame(columns=LOST),
        load(params, "evaluate", Evaluate).yaw_bands_deg,
        read_json(COUNTS / f"{test.dataset}.json")["dropped"],
    )


def of_corpus(
    folder: Path,
    reader: str,
    where: Where,
    rules: BoxRules,
    theta_deg: float,
    at_most: int | None = None,
) -> Labelled:
    """A corpus that no stage has seen: read, selected, its faces found, as the stages would.

    at_most: so many of its faces, at random, but always the same.
    """
    name = folder.resolve().name
    with redirect_stdout(sys.stderr):  # what readers say is no result
        try:
            corpus = read_corpus(reader, folder, name)
        except InputError as error:
            raise InputError(_not_read(str(error), reader, folder)) from None
    faces = _selected(corpus.faces, where, f"--where, of {folder}")
    if at_most is not None:
        rows = np.random.default_rng(0).permutation(len(faces))[:at_most]
        faces = faces.iloc[np.sort(rows)].reset_index(drop=True)
    lost = [_lost_files(corpus.skipped)] if not where else []
    if where and len(corpus.skipped):
        print(
            f"note: {len(corpus.skipped)} of the corpus cannot be read; whether --where means them "
            "is not known, and they are not counted",
            file=sys.stderr,
        )
    beyond = (faces[PYR].abs() > theta_deg).any(axis=1)
    lost.append(_lost(faces[beyond], TOO_FAR, f"expected angles within ±{theta_deg:g}°"))
    found, missing = _boxed(faces[~beyond], folder, rules)
    return Labelled(name, folder, found, pd.concat([*lost, missing]), YAW_BANDS_DEG)


def tables_of(corpus: Path | None) -> list[Path]:
    """Tables that a measurement reads: of a corpus of one's own, or, with None, the stages'."""
    if corpus is not None:
        return [corpus / name for name in TABLES]
    return [*FACES.glob("*"), *COUNTS.glob("*")]


def _not_read(message: str, reader: str, folder: Path) -> str:
    """A reader's message, or the name of a better one if there is no such corpus."""
    other, without = looks_like(folder), without_advice(message)
    if without == message or other in (None, reader):
        return without
    return f"{folder}: no layout of {reader}; it looks like {other}: give --reader {other}"


def where_of(words: Sequence[str]) -> Where:
    """`split=test`, … → column → accepted values. Raises BadParameter."""
    accepted: dict[str, list[str]] = {}
    for word in words:
        column, equals, value = word.partition("=")
        if not equals or column not in ("split", "subject", "video"):
            raise typer.BadParameter(
                f"--where is {word}; expected split=, subject= or video=, and a value."
            )
        accepted.setdefault(column, []).append(value)
    return accepted


def box_rules(network: Opened, params: Path, source: str, detector: Path | None) -> BoxRules:
    """By the rules of the network's training, or those of params.yaml where it does not say."""
    rules = network.boxes or load(params, "boxes", Boxes)
    if source == "annotated":
        return BoxRules(rules, None)
    if detector is None and rules.source == "published":
        raise InputError(
            f"{network.path}: trained on published boxes; give a --detector, or --boxes annotated"
        )
    path = detector or _detector_of(network, rules)
    if not path.is_file():
        raise InputError(f"{path}: no such detector; give --detector, or --boxes annotated")
    settings = {name: getattr(rules, name) for name in ("input_px", "score", "nms_iou", "border")}
    return BoxRules(rules, Detector(path, **settings))


def _detector_of(network: Opened, rules: Boxes) -> Path:
    if network.boxes is None:  # the rules are those of a params file
        return Path(rules.path)
    try:
        return find_detector(network.path, rules.path)
    except InputError as error:
        raise InputError(f"{error}, or give --boxes annotated") from None


def _note_other_boxes(params: Path, network: Opened) -> None:
    if network.boxes is None:
        return
    ours = load(params, "boxes", Boxes).model_dump()
    for name, value in network.boxes.model_dump().items():
        if name != "path" and value != ours[name]:
            print(
                f"note: boxes.{name} is {ours[name]!r} in {params}, but was {value!r} in the "
                f"training of {network.path}",
                file=sys.stderr,
            )


def _selected(faces: pd.DataFrame, where: Where, whose: str) -> pd.DataFrame:
    try:
        chosen = faces[select(faces, where)]
    except InputError as error:
        raise InputError(f"{whose}: {error}") from None
    if chosen.empty:
        raise InputError(f"{whose}: no face is left by {dict(where)}")
    return chosen.reset_index(drop=True)


def _boxed(faces: pd.DataFrame, folder: Path, rules: BoxRules) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The faces with the boxes that the network sees, and those without one."""
    if rules.detector is None:
        found, missing = _annotated(faces), faces[faces[ANNOTATED_BOX].isna().any(axis=1)]
        lost = _lost(missing, NO_BOX, "the corpus has none; --boxes detector finds one")
    else:
        found, lost = _detected(faces, folder, rules.detector, rules.rules)
    boxes = shaped(found[DETECTED_BOX].to_numpy(), rules.rules.model_dump())
    return found.assign(**dict(zip(DETECTED_BOX, boxes.T, strict=True))), lost


def _annotated(faces: pd.DataFrame) -> pd.DataFrame:
    usable = faces[faces[ANNOTATED_BOX].notna().all(axis=1)]
    boxes = dict(zip(DETECTED_BOX, usable[ANNOTATED_BOX].to_numpy().T, strict=True))
    return usable.assign(**boxes, box_source="annotated")


def _detected(
    faces: pd.DataFrame, folder: Path, detector: Detector, rules: Boxes
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As `redetect` does it: `boxes.unmatched` says whether a face falls back to its own box."""
    table = faces.reset_index(drop=True).assign(reason="", box_source="detected")
    rows_of = {str(name): np.asarray(rows) for name, rows in table.groupby("image").indices.items()}
    measured = np.full((len(table), len(MEASURED)), np.nan)
    with tqdm(total=len(rows_of), unit="image", desc="detector", disable=not rows_of) as bar:
        parts = measure_images(table, rows_of, folder, list(rows_of), detector, rules.match_iou)
        for rows, values, reasons in parts:
            measured[rows] = values
            table.loc[rows, "reason"] = reasons
            bar.update(min(detector.batch, len(rows_of) - bar.n))
    table[MEASURED] = measured
    missing = table["reason"] != ""
    found, lost = table[~missing], table[missing]
    if rules.unmatched == "annotated":
        usable = ~lost["reason"].str.startswith((UNREADABLE, OUTSIDE))
        found = pd.concat([found, fallen := _annotated(lost[usable])]).sort_index()
        lost = lost.drop(index=fallen.index)
    unreadable = lost["reason"].str.startswith(UNREADABLE)
    why = np.where(unreadable, UNREAD, NO_MATCH)
    return found, lost.assign(why=why)[LOST]


def _lost(faces: pd.DataFrame, why: str, reason: str) -> pd.DataFrame:
    return faces[["face_id", "image"]].assign(why=why, reason=reason)


def _lost_files(skipped: pd.DataFrame) -> pd.DataFrame:
    """What a reader could not read. With `where` nobody knows which of them were meant."""
    return skipped.rename(columns={"file": "image"}).assign(face_id="", why=UNREAD)[LOST]

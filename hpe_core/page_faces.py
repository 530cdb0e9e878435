"""The sections of the page that show faces: predictions drawn on them, and their distributions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hpe_core.bins import BinSpec
from hpe_core.charts import Chart, Curve, distribution_spec
from hpe_core.draw import pose_tile
from hpe_core.findings import (
    UNCHANGED_NATS,
    Choice,
    changes_by_angle,
    changes_of_entropy,
    face_errors_deg,
    telling_rows,
)
from hpe_core.geometry import ANGLES
from hpe_core.page import Block, Card, Cards, Charts, Picture, Section, Text, table_of
from hpe_core.predictions import PYR, TRUE_PYR
from hpe_core.uncertainty import distribution_std_deg, entropy

Pixels = NDArray[np.uint8]
TILE_PX = 168  # two stand beside each other on a phone
_SHOWN_PROB = 0.002  # bins below are cut off at either end
_AXES = "red: the head's x axis, green: its y axis (chin), blue: where the face points"


@dataclass(frozen=True)
class Averaged:
    """Distributions of some training faces, by the box alone and averaged over all windows.

    one, mean (N x 3 x n_bins) probabilities; pyr_deg (N x 3) labels; crops: row → pixels.
    """

    protocol: str
    face_ids: Sequence[str]
    pyr_deg: NDArray[np.float64]
    one: torch.Tensor
    mean: torch.Tensor
    spec: BinSpec
    crops: Mapping[int, Pixels]


def faces_section(groups: Sequence[Cards], choices: Mapping[str, Choice]) -> Section:
    """groups: as from `cards_of`; choices: protocol → the network that is shown."""
    shown = ", ".join(f"{name}: {choice.network}" for name, choice in choices.items())
    words = (
        f"Faces of the test sets with the largest errors, and with errors in the middle ({shown}; "
        "first seed). The prediction is bold, the label thin over it; "
        f"{_AXES}. Beside it the base network on the same face. A face's error is the mean over "
        "pitch, yaw and roll; angles stand in this order. A worst face may have a wrong label or "
        "box: look."
    )
    return Section("faces", "Worst and median faces", [Text(words), *groups])


def cards_of(
    title: str,
    faces: pd.DataFrame,
    base: pd.DataFrame,
    network: str,
    crops: Mapping[str, Pixels],
) -> Cards:
    """faces: predictions of `network`, in the order of the cards; base: the base network's of all
    faces; crops: face_id → pixels.
    """
    base_of = base.set_index("face_id")
    cards = []
    for face in faces.to_dict("records"):
        face_id = str(face["face_id"])
        truth = [float(face[name]) for name in TRUE_PYR]
        beside = base_of.loc[[face_id]]
        shown = {network: [float(face[a]) for a in PYR]}
        shown["base"] = [float(beside[a].iloc[0]) for a in PYR]
        errors = {network: face_errors_deg(pd.DataFrame([face]))[0]}
        errors["base"] = face_errors_deg(beside)[0]
        pictures = [
            posed(crops[face_id], face_id, name, shown[name], truth, float(errors[name]))
            for name in shown
        ]
        cards.append(Card(face_id, pictures, [f"label {angles_text(truth)}"]))
    return Cards(title, cards)


def posed(
    crop: Pixels,
    face_id: str,
    network: str,
    pyr_deg: Sequence[float],
    truth: Sequence[float],
    error: float,
) -> Picture:
    image = pose_tile(crop, TILE_PX, pyr_deg, truth)
    alt = (
        f"Face {face_id}: {network} predicts pitch, yaw, roll {angles_text(pyr_deg)}; the label is "
        f"{angles_text(truth)}"
    )
    return Picture(image, alt, f"{network}: {angles_text(pyr_deg)}, {error:.1f}° off")


def teacher_section(
    predictions: Mapping[str, pd.DataFrame],
    averaged: Sequence[Averaged],
    teacher_text: str,
    colours: Mapping[str, str],
) -> Section:
    """predictions: test set → its table of predictions, with entropies."""
    words = (
        "The students' teacher is the mean of the base network's distributions over its windows "
        f"({teacher_text}). No mean of distributions has less entropy than they have on average; "
        "but it may have less than the box alone, where that was an unsure one. Sharper: the "
        f"entropy falls by more than {UNCHANGED_NATS:g} nats; smoother: it rises by more. "
        "Training faces are evenly spaced ones, of the first seed; faces of the test sets are all,"
        " of all seeds. In the charts the upright line is the label."
    )
    of_tests = [changes_by_angle(own).assign(test=name) for name, own in predictions.items()]
    of_training = [changes_of(own) for own in averaged]
    blocks: list[Block] = [
        Text(words),
        Text(" ".join(sentence(own) for own in averaged)),
        table_of(_named(pd.concat(of_training), "protocol"), "Training faces, as they are taught"),
        table_of(_named(pd.concat(of_tests), "test"), "Faces of the test sets"),
        Charts([], {"box alone": colours["base"], "mean over windows": colours["ensemble"]}),
    ]
    for own in averaged:
        blocks.append(Cards(f"Protocol {own.protocol}", distribution_cards(own, colours)))
    return Section("teacher", "What the teacher's averaging does", blocks)


def sentence(averaged: Averaged) -> str:
    """What averaging does to the training faces of one protocol."""
    shares = changes_of_entropy(entropy(averaged.one), entropy(averaged.mean))
    most = max(shares, key=lambda name: shares[name])
    verb = {"sharper": "sharpens", "unchanged": "changes few of", "smoother": "smooths"}[most]
    told = ", ".join(f"{100 * share:.0f} % {name}" for name, share in shares.items())
    whose = f"Protocol {averaged.protocol}, {len(averaged.one)} training faces"
    return f"{whose}: averaging mostly {verb} the distributions ({told})."


def changes_of(averaged: Averaged) -> pd.DataFrame:
    """As `findings.changes_by_angle`, of training faces, with the standard deviations."""
    one, mean = averaged.one, averaged.mean
    rows = []
    for place, angle in enumerate(ANGLES):
        before, after = one[:, place], mean[:, place]
        shares = changes_of_entropy(entropy(before), entropy(after))
        rows.append(
            {
                "protocol": averaged.protocol,
                "faces": len(one),
                "angle": angle,
                "entropy": float(entropy(before).mean()),
                "entropy_ensemble": float(entropy(after).mean()),
                "deviation": float(distribution_std_deg(before, averaged.spec).mean()),
                "deviation_ensemble": float(distribution_std_deg(after, averaged.spec).mean()),
                **{name: 100 * share for name, share in shares.items()},
            }
        )
    return pd.DataFrame(rows)


def _named(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """With headings that say unit and whose."""
    names = {
        "entropy": "entropy, box alone",
        "entropy_ensemble": "entropy, averaged",
        "deviation": "std°, box alone",
        "deviation_ensemble": "std°, averaged",
        "sharper": "sharper, %",
        "unchanged": "unchanged, %",
        "smoother": "smoother, %",
    }
    renamed = table.rename(columns=names)
    return renamed[[first, *renamed.columns.drop(first)]]


def distribution_cards(averaged: Averaged, colours: Mapping[str, str]) -> list[Card]:
    before, after = (entropy(probs).mean(-1) for probs in (averaged.one, averaged.mean))
    cards = []
    for words, row in telling_rows(before, after):
        face_id, truth = averaged.face_ids[row], averaged.pyr_deg[row].tolist()
        image = cv2.resize(averaged.crops[row], (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC)
        picture = Picture(image.astype(np.uint8), _expected(averaged, row), face_id)
        lines = [
            f"label {angles_text(truth)}",
            f"entropy {before[row]:.2f} → {after[row]:.2f} nats",
        ]
        charts = [distribution_chart(averaged, row, place, colours) for place in range(len(ANGLES))]
        cards.append(Card(words, [picture], lines, charts))
    return cards


def _expected(averaged: Averaged, row: int) -> str:
    """What one face's distributions expect, and its label."""
    pair = (averaged.one[row], averaged.mean[row])
    one, mean = (angles_text(averaged.spec.expectation(probs).tolist()) for probs in pair)
    return (
        f"Training face {averaged.face_ids[row]}: pitch, yaw, roll of the box alone {one}, of the "
        f"mean over windows {mean}; the label is {angles_text(averaged.pyr_deg[row].tolist())}"
    )


def distribution_chart(
    averaged: Averaged, row: int, place: int, colours: Mapping[str, str]
) -> Chart:
    """One angle of one face: the box alone, the mean over the windows, and the label."""
    centers = averaged.spec.centers_deg.numpy().astype(np.float64)
    truth = float(averaged.pyr_deg[row, place])
    pair = {
        "box alone": (averaged.one[row, place], colours["base"]),
        "mean over windows": (averaged.mean[row, place], colours["ensemble"]),
    }
    probable = np.maximum(*(probs.numpy() for probs, _ in pair.values())) > _SHOWN_PROB
    probable[int(averaged.spec.encode(torch.tensor(truth)))] = True
    bins = slice(int(np.argmax(probable)), len(probable) - int(np.argmax(probable[::-1])))
    curves, told = [], []
    for name, (probs, colour) in pair.items():
        expected = float(averaged.spec.expectation(probs))
        std = float(distribution_std_deg(probs, averaged.spec))
        told.append(
            f"{name}: expects {_one_decimal(expected)}, std {std:.1f}°, entropy "
            f"{float(entropy(probs)):.2f}"
        )
        shown = probs.numpy()[bins].astype(np.float64)
        labels = [told[-1] if bin_ == shown.argmax() else None for bin_ in range(len(shown))]
        points = pd.DataFrame({"x": centers[bins], "y": shown, "label": labels})
        curves.append(Curve(name, points, colour))
    label = f"label {_one_decimal(truth)}"
    spec = distribution_spec(curves, truth, label, ANGLES[place])
    return Chart(ANGLES[place], spec, f"{'; '.join([label, *told])}.")


def _one_decimal(degrees: float) -> str:
    return f"{degrees:.1f}°".replace("-", "−")


def angles_text(pyr_deg: Sequence[float]) -> str:
    """Whole degrees with a true minus sign and no minus zero."""
    return ", ".join(f"{round(angle):d}°" for angle in pyr_deg).replace("-", "−")

"""Results made up for the tests of the page: nothing is trained."""

from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import torch

from hpe_core.evaluation import summaries as evaluation
from hpe_core.evaluation.columns import ENTROPY_PYR, PYR, SPREAD_PYR, STD_PYR, TRUE_PYR
from hpe_core.evaluation.comparison import compare, pairs_of
from hpe_core.networks.bins import BinSpec
from hpe_core.page.averaging import Averaged
from hpe_core.page.conclusions import chosen_student
from hpe_core.page.contents import Contents
from hpe_core.page.counts import counts_of
from hpe_core.page.faces import FaceGroup, shown_faces, telling_groups
from hpe_core.page.provenance import Checkout, Origin
from hpe_core.tables.results import PaperTables, Results, TestSet, TrainingSet
from hpe_core.teacher.offsets import offset_grid

HOSTILE = """<script>alert("1")</script><img src=x onerror=alert(2)>'&amp;</svg>{{ 7 }}"""
NETWORKS = ("base", "ensemble", "control-resnet8", "kd-resnet8")
TRAINED = tuple(name for name in NETWORKS if name != "ensemble")
BANDS = [0, 30, 60, 99]
# As numbers, the second would be the larger one.
FILES = {"f.h5": "5a" + "0" * 62, "g.h5": "1e9c" + "0" * 60}


class Reader(HTMLParser):
    """Elements, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(str(text))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def made_up_predictions(faces: int = 60) -> pd.DataFrame:
    """Of four networks, two seeds; the first face's name is hostile."""
    rng = np.random.default_rng(0)
    truth = rng.uniform([-30, -98, -30], [30, 98, 30], (faces, 3))
    ids = [HOSTILE, *(f"X/{row}" for row in range(1, faces))]
    parts = []
    for place, name in enumerate(NETWORKS):
        for seed in (1, 2):
            error = rng.normal(0, 6 - place, truth.shape)
            error[0] = 40  # the hostile face is among the worst
            std = np.abs(error) + rng.uniform(1, 5, truth.shape)
            spread = std / 2 if name == "ensemble" else 0 * std
            values = np.hstack([truth + error, std, spread, np.log(std), truth])
            columns = [*PYR, *STD_PYR, *SPREAD_PYR, *ENTROPY_PYR, *TRUE_PYR]
            part = pd.DataFrame(values, columns=columns).assign(face_id=ids, group=ids, order="XYZ")
            parts.append(part.assign(network=name, seed=seed))
    return pd.concat(parts, ignore_index=True)


def made_up_test(name: str = "p9-X", **changed: Any) -> TestSet:
    return TestSet(**{**measured(), "name": name, **changed})


@cache
def measured() -> dict[str, Any]:
    table, rng = made_up_predictions(), np.random.default_rng(0)
    by_yaw = evaluation.bands(table, BANDS)
    networks = {n: {**s, "abs_yaw": by_yaw[n]} for n, s in evaluation.summaries(table).items()}
    return {
        "protocol": "p9",
        "train": "Y",
        "dataset": "X",
        "networks": networks,
        "imported": {},
        "cells": made_up_cells(networks["base"]["mae"]),
        "intervals": evaluation.intervals(table, rng),
        "comparisons": compare(table, pairs_of(table), rng),
        "uncertainty": evaluation.uncertainties(table, calibrated=True),
        "risk": evaluation.risk_curves(table),
        "shared": {
            "photograph": {"shared": 1, "training_faces": 1, "test_faces": 1},
            "subject": None,
        },
    }


def made_up_cells(base_mae: float) -> pd.DataFrame:
    rows = []
    for k in range(11):
        for d in range(1, 11):
            size = len(offset_grid(k, d))
            mae = base_mae - (0.0 if size == 1 else 0.2 - 0.01 * k * d)
            row = {"K": k, "d": d, "S": size, "pitch": mae, "yaw": mae, "roll": mae, "mae": mae}
            rows.append({**row, "faces": 60})
    return pd.DataFrame(rows)


def made_up_results() -> Results:
    foreign = {"theirs": measured()["networks"]["base"]}
    tests = [made_up_test(imported=foreign), made_up_test("p9-Z", dataset=HOSTILE)]
    rows = [
        {"test": t.name, "network": n, "kind": k, "level": level, "mae": 5 + level, "faces": 60}
        for t in tests
        for n in t.networks
        for k, levels in (("shift", (0.0, 0.1)), ("scale", (0.8, 1.0, 1.2)))
        for level in levels
    ]
    columns = ["protocol", "dataset", "pitch", "yaw", "roll", "avg"]
    published = PaperTables(
        pd.DataFrame(columns=["protocol", "role", "dataset", "faces", "note"]),
        pd.DataFrame(columns=["table", "K", "d", *columns]),
        pd.DataFrame(columns=["method", "extra_data", *columns]),
        pd.DataFrame(columns=["method", "extra_data", *columns, "source"]),
    )
    counts = {"before": 70, "faces": 60, "dropped": {"no_match": 10}, "beyond_limit": 2}
    counts |= {"by_split": {"": 60}}
    return Results(
        corpora=HOSTILE,
        teacher=(6, 3),
        teacher_text="K=6, d=3",
        backbone="resnet8",
        tests=tests,
        train={"p9": TrainingSet(["Y"], 50, 10)},
        counts={"X": counts, "Y": counts},
        elsewhere={},
        validation={"p9": {name: {"mae": 5.0} for name in NETWORKS}},
        jitter=pd.DataFrame(rows),
        published=published,
    )


def made_up_contents() -> Contents:
    results, table = made_up_results(), made_up_predictions()
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "mae": [9.0, 8.0, 7.0]})
    runs = [f"{name}-{seed}" for name in TRAINED for seed in (1, 2)]
    boxes = {"images": 70, "faces": 70, "matched": 60, "unmatched": 10, "annotated": 0}
    shared = {test.name: test.shared for test in results.tests}
    return Contents(
        results=results,
        choices={"p9": chosen_student(["resnet8"], results.validation["p9"])},
        runs=2,
        predictions={test.name: table for test in results.tests},
        histories={"p9": dict.fromkeys(runs, epochs)},
        averaged=[made_up_averaged()],
        faces=made_up_faces(results.tests[0], table),
        counts=counts_of(results, {"X": boxes, "Y": boxes}, {"p9": shared}),
        origin=made_up_origin("c" * 40, (HOSTILE,)),
    )


def made_up_origin(commit: str, changed: tuple[str, ...]) -> Origin:
    return Origin(
        checkout=Checkout(commit, changed),
        files=pd.DataFrame(FILES.items(), columns=["file", "sha256"]),
        packages=pd.DataFrame({"package": ["torch"], "version": ["9"]}),
        params=HOSTILE,
    )


def made_up_faces(test: TestSet, table: pd.DataFrame) -> list[FaceGroup]:
    runs = {n: table.query(f"seed == 1 and network == '{n}'") for n in ("kd-resnet8", "base")}
    own = runs["kd-resnet8"]
    shade = {face: 60 + row for row, face in enumerate(own["face_id"])}
    crops = {face: np.full((48, 48, 3), value, np.uint8) for face, value in shade.items()}
    return [
        FaceGroup(test, kind, "kd-resnet8", list(shown_faces(faces, runs, crops)))
        for kind, faces in telling_groups(own, 8).items()
    ]


def made_up_averaged() -> Averaged:
    spec, truth = BinSpec(1.0), np.random.default_rng(1).uniform(-80, 80, (9, 3))
    given = torch.from_numpy(truth)
    narrow, wide = (spec.gaussian(given, std).float().numpy() for std in (3.0, 5.0))
    crops = {row: np.full((48, 48, 3), 20 * row, np.uint8) for row in range(9)}
    return Averaged("p9", [f"Y/{row}" for row in range(9)], truth, narrow, wide, spec, crops)

"""A model card for the networks of one protocol, filled from metrics and params.yaml.

Sections follow Mitchell et al. (2019), *Model Cards for Model Reporting*. All words stand in a
template; this module gathers what it is filled with.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from hpe_core.common.files import atomic
from hpe_core.common.geometry import THETA_DEG
from hpe_core.common.settings import load
from hpe_core.common.table_files import read_csv
from hpe_core.corpora.settings import Filter, Protocol
from hpe_core.crops.settings import CropSettings
from hpe_core.evaluation.names import BASE, control_of, student_of
from hpe_core.evaluation.settings import Seeds, Students
from hpe_core.faces.settings import BoxRules
from hpe_core.tables import paper_tables
from hpe_core.tables.catalogue import NOTES
from hpe_core.tables.formatting import markdown
from hpe_core.tables.results import Results
from hpe_core.tables.templates import rendered
from hpe_core.training.settings import Base, Distill


def write_cards(
    params: Path, results: Results, metrics: Path, template: Path, folder: Path
) -> None:
    """folder/model-card-<protocol>.md. Raises InputError for a template that cannot be filled."""
    settings = settings_of(params)
    for name, protocol in load(params, "protocols", dict[str, Protocol]).items():
        values = {
            **settings,
            "name": name,
            "protocol": protocol,
            "factors": read_csv(metrics / f"protocols/{name}/calibration.csv"),
            **measured(name, results),
        }
        write_card(template, values, folder / f"model-card-{name}.md")


def write_card(template: Path, values: Mapping[str, Any], path: Path) -> None:
    filters = {"markdown": markdown, "file_name": lambda path: PurePosixPath(path).name}
    card = rendered(template, values, filters)
    with atomic(path) as temporary:
        temporary.write_text(card, encoding="utf-8")


def settings_of(params: Path) -> dict[str, Any]:
    base = load(params, "base", Base)
    of_backbone = {BASE: base.backbone}
    for name, backbones in (("controls", control_of), ("students", student_of)):
        of_backbone |= {backbones(each): each for each in load(params, name, Students)}
    return {
        "networks": list(of_backbone.items()),
        "theta_deg": THETA_DEG,
        "base": base,
        "distill": load(params, "distill", Distill),
        "seeds": load(params, "seeds", Seeds),
        "boxes": load(params, "boxes", BoxRules),
        "crop": load(params, "crop", CropSettings),
        "rules": load(params, "filter", Filter),
    }


def measured(protocol: str, results: Results) -> dict[str, Any]:
    """What was measured for one protocol, and the notes on its tables."""
    tests, training = results.tests_of(protocol), results.train[protocol]
    found: dict[str, Any] = {
        "corpora": results.corpora,
        "teacher": results.teacher_text,
        "training": training,
        "counts": {name: results.counts[name] for name in training.datasets},
        "tests": tests,
        "notes": NOTES,
    }
    if not tests:
        return found
    jitter = results.jitter[results.jitter["test"].isin([test.name for test in tests])]
    bands = paper_tables.bands_table(tests)
    errors = paper_tables.results_table(tests, results.published.methods)
    coverage = paper_tables.coverage_table(paper_tables.uncertainty_table(tests))
    return found | {
        "errors": errors.drop(columns=["paper_avg", "paper_gain"]).pipe(_without_imported),
        "bands": paper_tables.bands_side_by_side(_without_imported(bands)),
        "jitter": paper_tables.jitter_table(jitter),
        "coverage": coverage.rename(columns={"calibrated": "with factors"}),
    }


def _without_imported(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["network"].str.startswith("imported ")]

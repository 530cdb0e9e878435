"""A model card for the networks of a protocol: what there is to say, from metrics and params.

Sections follow Mitchell et al. (2019), *Model Cards for Model Reporting*. The words that are the
same for every protocol stand in a template; this module makes what is put into it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from string import Template
from typing import Any

import pandas as pd

from hpe_core import paper_tables
from hpe_core.bins import THETA_DEG
from hpe_core.errors import InputError
from hpe_core.geometry import ANGLES
from hpe_core.paper_tables import TestSet, TrainingSet
from hpe_core.params.faces import Boxes, Crop, Filter
from hpe_core.params.learning import Base, Distill
from hpe_core.params.protocols import Protocol
from hpe_core.readable import markdown

NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Settings:
    """Of params.yaml. teacher: as `paper_tables.windows_text` names it."""

    corpora: str
    base: Base
    distill: Distill
    students: Sequence[str]
    seeds: Sequence[int]
    teacher: str
    boxes: Boxes
    crop: Crop
    filter: Filter


@dataclass(frozen=True)
class Measured:
    """Of one protocol.

    counts: what `filter` kept and dropped of the training corpus; tests: its test sets; methods:
    the paper's Table 5; jitter: as from `paper_tables.jitter_by_level`, of its test sets;
    calibration: factors of the std, columns network, seed, pitch, yaw, roll, no row without
    validation faces.
    """

    training: TrainingSet
    counts: Mapping[str, Any]
    tests: Sequence[TestSet]
    methods: pd.DataFrame
    jitter: pd.DataFrame
    calibration: pd.DataFrame


def fill(template: str, fields: Mapping[str, str]) -> str:
    """Each $name of the template is replaced. Raises InputError for one that there is not."""
    try:
        return Template(template).substitute(fields)
    except KeyError as error:
        raise InputError(f"no ${error.args[0]}; expected one of ${', $'.join(fields)}") from None
    except ValueError as error:
        raise InputError(f"{error}; a dollar sign is written $$") from None


def fields(name: str, protocol: Protocol, settings: Settings, measured: Measured) -> dict[str, str]:
    """Name of a field of the template → Markdown."""
    files = networks(name, settings)
    return {
        "protocol": name,
        "corpora": settings.corpora,
        "theta_deg": f"{THETA_DEG:g}",
        "networks": markdown(files),
        "teacher": settings.teacher,
        "example": str(files["file"].iloc[-1]).strip("`"),
        "input": input_text(settings.crop),
        "boxes": boxes_text(settings.boxes),
        "training_set": training_set_text(protocol, measured.training),
        "dropped": dropped_text(measured.training.dataset, measured.counts, settings.filter),
        "training": training_text(settings),
        "calibration": calibration_text(measured.calibration),
        **evaluation(measured),
    }


def evaluation(measured: Measured) -> dict[str, str]:
    """The fields that hold errors, on every test set of the protocol."""
    tests = measured.tests
    if not tests:
        names = ("results", "bands", "jitter", "coverage", "overlap")
        return dict.fromkeys(names, "This protocol has no test set.")
    return {
        "results": markdown(results(tests, measured.methods), once=["test"]),
        "bands": markdown(own_bands(tests), once=["test"]),
        "jitter": markdown(paper_tables.jitter_table(measured.jitter), once=["test"]),
        "coverage": markdown(coverage(tests), once=["test"]),
        "overlap": markdown(overlap(tests), once=["test"]),
    }


def networks(protocol: str, settings: Settings) -> pd.DataFrame:
    """A row each network file, columns network, file, backbone, heads."""
    bins = ", ".join(f"{bin_deg:g}" for bin_deg in sorted(settings.base.bins_deg))
    base = f"bins of {bins}° (the first predicts) and a regression"
    student = f"bins of {min(settings.base.bins_deg):g}°"
    kinds = [
        ("base", str(settings.base.backbone), base),
        *((f"kd-{backbone}", backbone, student) for backbone in settings.students),
    ]
    folder = PurePosixPath("data/models", protocol)
    rows = [
        {
            "network": name,
            "file": f"`{folder / f'{name}-{seed}.safetensors'}`",
            "backbone": backbone.replace("resnet", "ResNet"),
            "heads": heads,
        }
        for name, backbone, heads in kinds
        for seed in settings.seeds
    ]
    return pd.DataFrame(rows)


def input_text(crop: Crop) -> str:
    size = f"{crop.width} x {crop.height} pixels in RGB"
    if crop.rule == "published":
        return f"{size}; integer corners, clipped at the image, resized without antialiasing"
    outside = {"replicate": "the image's edge is replicated", "black": "is black"}[crop.border]
    return f"{size}; the exact box, resized with antialiasing; outside the image {outside}"


def boxes_text(boxes: Boxes) -> str:
    """Names the detector's file, not the folder: cards are for others."""
    if boxes.source == "published":
        return "those published with the paper, as they are."
    shape = "made square (as long as the longer side)" if boxes.square else "as they are"
    fallback = (
        "faces it does not find have their annotated box"
        if boxes.unmatched == "annotated"
        else "faces it does not find are left out"
    )
    name = PurePosixPath(boxes.path).name
    return (
        f"of the YOLOv5 detector `{name}`, with a score of {boxes.score:g} or more, {shape}, sides "
        f"times {boxes.scale:g}; {fallback}."
    )


def training_set_text(protocol: Protocol, training: TrainingSet) -> str:
    where = "; ".join(f"{name} {', '.join(values)}" for name, values in protocol.where.items())
    held_out = (
        f"{training.validation} more are held out for validation, by whole people, videos or "
        "photographs"
        if training.validation
        else "none are held out for validation"
    )
    return (
        f"{training.training} faces of {training.dataset} ({where or 'all of its faces'}); "
        f"{held_out}."
    )


def dropped_text(dataset: str, counts: Mapping[str, Any], rules: Filter) -> str:
    dropped = {rule.replace("_", " "): n for rule, n in counts["dropped"].items() if n}
    of_them = ", ".join(f"{n} {rule}" for rule, n in dropped.items()) or "none dropped"
    return (
        f"Of all {counts['before']} faces of {dataset}, {counts['faces']} were kept ({of_them}): "
        f"angles within ±{rules.max_angle_deg:g}°, sides of {rules.min_side_px:g} pixels or more."
    )


def training_text(settings: Settings) -> str:
    base, distill = settings.base, settings.distill
    runs = {"base network": base, "students": distill}
    rows = [
        {
            "": kind,
            "initial weights": PurePosixPath(run.weights).name,
            "epochs": run.epochs,
            "batch": run.batch,
            "learning rate": f"{run.lr:g}, {run.schedule}",
        }
        for kind, run in runs.items()
    ]
    seeds = ", ".join(map(str, settings.seeds))
    loss = f"the students' labels weigh {distill.label_weight:g} beside the teacher"
    return f"{markdown(pd.DataFrame(rows))}\n\nSeeds: {seeds}. Adam; {loss}."


def calibration_text(factors: pd.DataFrame) -> str:
    """A sentence, and the factors of every network, seed and angle."""
    if factors.empty:
        return "Not calibrated: there are no validation faces. They rank faces, and are no degrees."
    return (
        "A network's own `std` times these factors is of the right size for faces like the "
        "validation faces, which they were fitted to (`HeadPose` and ONNX give it without them):"
        "\n\n" + markdown(factors, 4, once=["network"])
    )


def results(tests: Sequence[TestSet], methods: pd.DataFrame) -> pd.DataFrame:
    """Errors of base, ensemble and students: `paper_tables.results_table`, and each angle's."""
    table = paper_tables.results_table(tests, methods).drop(columns=["paper_avg", "paper_gain"])
    summaries = {(test.name, name): own for test in tests for name, own in test.networks.items()}
    keys = list(zip(table["test"], table["network"], strict=True))
    table = table[[key in summaries for key in keys]]
    angles = [[summaries[key][angle] for angle in ANGLES] for key in keys if key in summaries]
    return table.assign(**pd.DataFrame(angles, columns=list(ANGLES), index=table.index))


def own_bands(tests: Sequence[TestSet]) -> pd.DataFrame:
    table = paper_tables.bands_table(tests)
    return paper_tables.bands_side_by_side(table[~table["network"].str.startswith("imported ")])


def coverage(tests: Sequence[TestSet]) -> pd.DataFrame:
    table = paper_tables.uncertainty_table(tests)
    columns = ["test", "network", *(f"covered_{angle}" for angle in ANGLES), "calibrated"]
    of_std = table.loc[table["uncertainty"] == "std", columns]
    return of_std.rename(columns={"calibrated": "with factors"})


def overlap(tests: Sequence[TestSet]) -> pd.DataFrame:
    """Photographs and subjects of each test set that the training set has, and their faces."""
    rows = [
        {
            "test": test.name,
            "in both": f"{kind}s",
            "number": str(count["shared"]) if count else NOT_KNOWN,
            "test faces": str(count["test_faces"]) if count else NOT_KNOWN,
        }
        for test in tests
        for kind, count in test.shared.items()
    ]
    return pd.DataFrame(rows)

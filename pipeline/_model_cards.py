"""The model card of every protocol: a template, filled with what was measured."""

from collections.abc import Mapping
from pathlib import Path

from hpe_core.errors import InputError
from hpe_core.io.files import atomic
from hpe_core.io.tables import read_csv
from hpe_core.model_card import Measured, Settings, fields, fill
from hpe_core.params.faces import Boxes, Crop, Filter
from hpe_core.params.learning import Base, Distill
from hpe_core.params.loading import load
from hpe_core.params.protocols import Protocol, Seeds, Students
from hpe_core.sheets import Results


def write_cards(
    params: Path, results: Results, calibration: Path, template: Path, folder: Path
) -> None:
    """folder/model-card-<protocol>.md. Raises InputError for a field that there is not."""
    settings = settings_of(params, results)
    for name, protocol in load(params, "protocols", dict[str, Protocol]).items():
        values = fields(name, protocol, settings, measured(name, results, calibration))
        write_card(template, values, folder / f"model-card-{name}.md")


def write_card(template: Path, values: Mapping[str, str], path: Path) -> None:
    try:
        card = fill(template.read_text(encoding="utf-8"), values)
    except InputError as error:
        raise InputError(f"{template}: {error}") from None
    with atomic(path) as temporary:
        temporary.write_text(card, encoding="utf-8")


def settings_of(params: Path, results: Results) -> Settings:
    return Settings(
        results.corpora,
        load(params, "base", Base),
        load(params, "distill", Distill),
        load(params, "students", Students),
        load(params, "seeds", Seeds),
        results.teacher_text,
        load(params, "boxes", Boxes),
        load(params, "crop", Crop),
        load(params, "filter", Filter),
    )


def measured(protocol: str, results: Results, calibration: Path) -> Measured:
    training = results.train[protocol]
    tests = [test for test in results.tests if test.protocol == protocol]
    jitter = results.jitter[results.jitter["test"].isin([test.name for test in tests])]
    factors = read_csv(calibration / f"{protocol}.csv")
    counts = results.counts[training.dataset]
    return Measured(training, counts, tests, results.published.methods, jitter, factors)

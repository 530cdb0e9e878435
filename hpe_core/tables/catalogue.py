"""Every table of a run: its numbers, how they are shown, and the notes that explain them.

The stage `tables` writes them as CSV and Markdown, the stage `report` as HTML. The notes stand in
notes.toml.
"""

import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hpe_core.common.geometry import ANGLES
from hpe_core.evaluation.metrics import FACE_MEASURES
from hpe_core.evaluation.names import is_part
from hpe_core.tables import paper_tables
from hpe_core.tables.formatting import Readable
from hpe_core.tables.results import INTERVAL, Results, Summary

_WORDS = Path(__file__).with_name("notes.toml").read_text("utf-8")
NOTES: Mapping[str, str] = tomllib.loads(_WORDS.replace("{interval}", INTERVAL))


@dataclass(frozen=True)
class Sheet:
    """One table: the name of its files, its title, all numbers, and how they are shown.

    digits, bold: as for `Readable.of`; once: as for `Readable.markdown`; page: what readers see
    instead of `table`; note: explains the columns; more: a second table below it.
    """

    name: str
    title: str
    table: pd.DataFrame
    digits: int = 2
    once: Sequence[str] = ()
    bold: Sequence[str] = ()
    page: pd.DataFrame | None = None
    note: str = ""
    more: "Sheet | None" = None

    def shown(self) -> Readable:
        return Readable.of(self.table if self.page is None else self.page, self.digits, self.bold)

    def markdown(self) -> str:
        """Table and note, and those of `more`."""
        parts = [self.shown().markdown(self.once), textwrap.fill(self.note, 100)]
        parts += [f"{self.more.title}:", self.more.markdown()] if self.more else []
        return "\n\n".join(part for part in parts if part)


def all_sheets(results: Results) -> list[Sheet]:
    """Every table of metrics/tables."""
    ensembles = [ensemble_sheet(results, protocol) for protocol in results.train]
    return [
        faces_sheet(results),
        *(sheet for sheet in ensembles if sheet),
        methods_sheet(results),
        bands_sheet(results),
        comparisons_sheet(results),
        uncertainty_sheet(results),
        jitter_sheet(results),
    ]


def summary_sheets(results: Results) -> list[Sheet]:
    """What `make demo` prints: the paper's errors apart, so that lines fit into a terminal."""
    every, faces = results_sheet(results), faces_sheet(results)
    apart = [*FACE_MEASURES, "as_published_avg", "paper_avg", "paper_gain"]
    table = every.table[["test", "network", *apart]]
    table = table.rename(columns={"as_published_avg": "as_published"})
    more = Sheet("", "Other errors of these networks, and the paper's", table, once=["test"])
    errors = replace(every, table=every.table.drop(columns=apart), more=more)
    counts = faces.table.drop(columns="paper_note")
    short = Sheet("", "Faces", counts, once=faces.once, note=faces.note)
    return [errors, sweep_sheet(results), short]


def results_sheet(results: Results) -> Sheet:
    errors = paper_tables.results_table(results.tests, results.published.methods)
    table = _titled(errors.drop(columns=["faces", *ANGLES]), results)
    title = "Base network, ensembles, controls and students"
    note = f"The ensemble, which teaches the students: {results.teacher_text}. {NOTES['results']}"
    return Sheet("", title, table, once=["test"], note=note)


def sweep_sheet(results: Results) -> Sheet:
    table = paper_tables.sweep_table(results.tests, results.teacher, results.published.ensemble)
    title = "Ensembles of every K and d: one window, the teacher's K and d, the best"
    note = f"{NOTES['sweep']} {NOTES['ensemble']}"
    return Sheet("", title, _titled(table, results), 3, note=note)


def _titled(table: pd.DataFrame, results: Results) -> pd.DataFrame:
    """With each test set's title instead of its name."""
    return table.assign(test=table["test"].map({test.name: test.title for test in results.tests}))


def faces_sheet(results: Results) -> Sheet:
    kept = paper_tables.corpora_table(results.counts)
    more = Sheet("", "Faces kept and dropped per corpus, by reason", kept)
    faces = paper_tables.counts_table(results)
    note = NOTES["counts"] if faces["difference"].any() else ""
    title, once = "Table 1: faces per protocol", ["protocol"]
    return Sheet("table1", title, faces, once=once, note=note, more=more)


def ensemble_sheet(results: Results, protocol: str) -> Sheet | None:
    """Tables 2 to 4 for the paper's protocols, `ensemble-<protocol>` for any other; None for a
    protocol without a test set.
    """
    own = results.tests_of(protocol)
    if not own:
        return None
    published = results.published.ensemble
    numbers = published.loc[published["protocol"] == protocol, "table"].unique()
    name = f"table{numbers[0]}" if len(numbers) else f"ensemble-{protocol}"
    heading = f"Table {numbers[0]}" if len(numbers) else "Ensemble"
    parts = [paper_tables.ensemble_table(test, results.teacher, published) for test in own]
    table = pd.concat(parts, ignore_index=True)
    title = f"{heading}: errors of the offset ensemble, protocol {protocol}"
    bold, note = ["avg", "paper_avg"], NOTES["ensemble"]
    return Sheet(name, title, table, 3, once=["test"], bold=bold, note=note)


def methods_sheet(results: Results) -> Sheet:
    table = paper_tables.methods_table(results)
    bold = ["avg", "paper_avg"]
    note = NOTES["methods"]
    return Sheet("table5", "Table 5: methods", table, once=["test"], bold=bold, note=note)


def bands_sheet(results: Results) -> Sheet:
    table = paper_tables.bands_table(results.tests)
    beside = paper_tables.bands_side_by_side(table)
    return Sheet("bands", "MAE by bands of |yaw|, degrees", table, once=["test"], page=beside)


def comparisons_sheet(results: Results) -> Sheet:
    table = paper_tables.comparisons_table(results.tests)
    title, page = "Is one network better than another?", paper_tables.comparisons_text(table)
    note = f"{NOTES['comparisons']}."
    return Sheet("comparisons", title, table, 3, once=["test", "a"], page=page, note=note)


def uncertainty_sheet(results: Results) -> Sheet:
    """One row per uncertainty in the CSV; shown are ranks first, then the coverage of the std."""
    table = paper_tables.uncertainty_table(results.tests)
    covered = paper_tables.coverage_table(table)
    title, once = "Do the networks know where they err?", ["test", "network"]
    ranks = table.drop(columns=[*paper_tables.COVERED, "calibrated"])
    more = Sheet("", "Share of faces whose error is within ±1 std", covered, note=NOTES["coverage"])
    note = NOTES["ranks"]
    return Sheet("uncertainty", title, table, once=once, page=ranks, note=note, more=more)


def jitter_sheet(results: Results) -> Sheet:
    lost = paper_tables.jitter_table(results.jitter)
    bold = [str(name) for name in lost if str(name).endswith("_loss")]
    title = "Sensitivity to the box: errors for boxes that are moved or resized"
    note = f"{NOTES['jitter']} The smallest loss per test set is bold."
    return Sheet("jitter", title, lost, once=["test"], bold=bold, note=note)


def headline(results: Results) -> dict[str, dict[str, float]]:
    """What `dvc metrics` and `dvc exp show` show: test set → network → MAE in degrees.

    Validation faces stand beside the test sets, as `<protocol> validation`. Without the ensembles
    of one kind of views: `dvc exp show` has a column for each.
    """
    measured: dict[str, Mapping[str, Summary]]
    measured = {test.name: test.every_network for test in results.tests}
    measured |= {f"{name} validation": own for name, own in results.validation.items() if own}
    return {
        name: {key: float(summary["mae"]) for key, summary in own.items() if not is_part(key)}
        for name, own in measured.items()
    }


def page_of(title: str, corpora: str, parts: Sequence[str]) -> str:
    """A Markdown page of tables."""
    origin = textwrap.fill(f"Ours: **{corpora}**. {NOTES['paper']}", 100)
    return "\n\n".join([f"# {title}", origin, *parts]) + "\n"

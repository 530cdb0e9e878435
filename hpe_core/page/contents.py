"""Everything on the page: the values that fill its template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hpe_core.evaluation.columns import ORACLE
from hpe_core.page.averaging import UNCHANGED_NATS, Averaged, changes_by_angle
from hpe_core.page.conclusions import Choice, standings
from hpe_core.page.faces import FaceGroup
from hpe_core.page.provenance import Origin
from hpe_core.tables import catalogue, charts
from hpe_core.tables.charts import Chart, Palette
from hpe_core.tables.results import INTERVAL, Results

_COLOURS = [f"var(--net{place})" for place in range(7)]  # as the style sheet has them


@dataclass(frozen=True)
class Contents:
    """choices: protocol → the network its summary is about; runs: number of seeds; predictions:
    test set → its table; histories: protocol → network-seed → its history; counts: as from
    `counts_of`.
    """

    results: Results
    choices: Mapping[str, Choice]
    runs: int
    predictions: Mapping[str, pd.DataFrame]
    histories: Mapping[str, Mapping[str, pd.DataFrame]]
    averaged: Sequence[Averaged]
    faces: Sequence[FaceGroup]
    counts: Mapping[str, pd.DataFrame]
    origin: Origin

    def palette(self) -> Palette:
        """All networks of all test sets, in the order of the tables."""
        names = [name for test in self.results.tests for name in test.every_network]
        return Palette.of(names, _COLOURS, "var(--pale)", legend=False)

    def charts(self) -> dict[str, list[Chart]]:
        """All charts except heat maps and those of single faces."""
        palette, jitter, tests = self.palette(), self.results.jitter, self.results.tests
        return {
            "intervals": [charts.interval_chart(test, palette) for test in tests],
            "yaw": [charts.yaw_chart(t, self.predictions[t.name], palette) for t in tests],
            "jitter": [
                charts.jitter_chart(test, kind, jitter, palette)
                for kind in charts.jitter_kinds(jitter)
                for test in tests
            ],
            "risk": [charts.risk_chart(test, palette) for test in tests],
            "coverage": [charts.coverage_chart(test, palette) for test in tests],
            "training": [
                charts.training_chart(name, own, palette) for name, own in self.histories.items()
            ],
        }

    def heatmaps(self) -> list[list[Chart]]:
        """Per test set our map and, where there is one, the paper's beside it."""
        teacher, published = self.results.teacher, self.results.published.ensemble
        return [charts.heatmap_charts(test, teacher, published) for test in self.results.tests]

    def values(self) -> dict[str, Any]:
        """Names in the template → what they stand for."""
        results, palette = self.results, self.palette()
        chosen = [(test, self.choices[test.protocol].network) for test in results.tests]
        trained = {run.rpartition("-")[0] for own in self.histories.values() for run in own}
        evaluated = {name for test in results.tests for name in test.networks}
        sweep = catalogue.sweep_sheet(results)
        changes = {
            "training": [own.changes() for own in self.averaged],
            "tests": [changes_by_angle(name, own) for name, own in self.predictions.items()],
        }
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "charts": self.charts(),
            "heatmaps": self.heatmaps(),
            "palette": palette,
            "evaluated": palette.only(evaluated),
            "trained": palette.only(trained),
            "standings": standings(results.tests, self.choices),
            "one_seed": any(test.networks[name]["runs"] == 1 for test, name in chosen),
            "errors": catalogue.results_sheet(results),
            "sheets": [*catalogue.all_sheets(results), sweep],
            "changes": {name: pd.concat(parts) for name, parts in changes.items()},
            "paper_note": catalogue.NOTES["paper"],
            "interval": INTERVAL,
            "oracle": ORACLE,
            "yaw_step_deg": charts.YAW_STEP_DEG,
            "unchanged_nats": UNCHANGED_NATS,
        }

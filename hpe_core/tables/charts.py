"""Charts of the measurements: the Vega-Lite files of specifications/, filled with data.

`dvc plots` fills the same files (.dvc/plots is a link to their folder), one chart per revision.
Here each becomes a chart of one test set, for the page (`page.html`) and PNG files (`figures`).
Every mark that has a value carries it as its label: the page shows it under the pointer, and screen
readers read it out.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from hpe_core.common.geometry import ANGLES
from hpe_core.evaluation.columns import ORACLE
from hpe_core.evaluation.metrics import face_errors_deg, gain
from hpe_core.evaluation.uncertainty import ONE_SIGMA
from hpe_core.tables import paper_tables
from hpe_core.tables.results import INTERVAL, Cell, TestSet
from hpe_core.tables.templates import SPECS

YAW_STEP_DEG = 15.0
_LETTER_PX = 7  # of a label, at most
_MOST_POINTS = 40  # a longer curve has dots on a few of its points
_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
# kind → title of the x axis, end of the chart's title
_JITTER = {
    "shift": ("shift of the box, % of its side", "moved"),
    "scale": ("size of the box, % of the detected", "resized"),
}


@dataclass(frozen=True)
class Chart:
    """title: above the chart; spec: Vega-Lite, with its data; text: what it shows, in a sentence;
    numbers: what it shows, as a table.
    """

    title: str
    spec: Mapping[str, Any]
    text: str
    numbers: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Palette:
    """What networks look like, the same in every chart of a page or picture.

    networks: name → colour, in the order of the tables; pale: the colour of everything else;
    legend: whether each chart has its own legend of colours.
    """

    networks: Mapping[str, str]
    pale: str
    legend: bool

    @classmethod
    def of(
        cls, networks: Iterable[str], colours: Sequence[str], pale: str, legend: bool
    ) -> "Palette":
        looks = zip(dict.fromkeys(networks), itertools.cycle(colours), strict=False)
        return cls(dict(looks), pale, legend)

    def only(self, networks: Iterable[str]) -> "Palette":
        """Of these networks, in the order of the tables: for a legend."""
        return replace(self, networks={n: c for n, c in self.networks.items() if n in networks})

    def looks(self) -> dict[str, dict[str, Any]]:
        """Per channel, color and shape: its scale, and whether it has a legend."""
        names = list(self.networks)
        shapes = list(itertools.islice(itertools.cycle(_SHAPES), len(names)))
        ranges = {"color": list(self.networks.values()), "shape": shapes}
        legend: dict[str, Any] | None = {} if self.legend else None
        return {
            channel: {"scale": {"domain": names, "range": looks}, "legend": legend}
            for channel, looks in ranges.items()
        }


def filled(
    name: str, rows: pd.DataFrame, palette: Palette | None = None, **anchors: str
) -> dict[str, Any]:
    """The specification `name` of one chart, with its data.

    anchors: DVC's: x, y, x_label, y_label; those not given are empty.
    """
    text = (SPECS / f"{name}.json").read_text("utf-8")
    for anchor in ("x", "y", "x_label", "y_label"):
        value = json.dumps(anchors.get(anchor, ""))[1:-1]
        text = text.replace(f"<DVC_METRIC_{anchor.upper()}>", value)
    template = json.loads(text)
    values = json.loads(rows.to_json(orient="records", double_precision=4))
    spec = {"data": {"values": values}, "transform": template["transform"], **template["spec"]}
    for encoding in [part["encoding"] for part in (spec, *spec["layer"]) if "encoding" in part]:
        for channel, look in (palette.looks() if palette else {}).items():
            if (encoding.get(channel) or {}).get("field") == "network":
                encoding[channel] |= look
        if (encoding.get("y") or {}).get("field") == "network":
            # room for the names in whatever font the reader has
            names_px = _LETTER_PX * int(rows["network"].str.len().max())
            encoding["y"]["axis"] = {"minExtent": names_px, "labelLimit": 2 * names_px}
    return spec


def curves(rows: pd.DataFrame, palette: Palette, x: str, y: str, **titles: str) -> dict[str, Any]:
    """Lines, one per network (per run, if there is a column run).

    x, y: columns; titles: x_label and y_label. The column label: a dot's label; None: no dot.
    """
    columns = [name for name in (x, y, "network", "run", "label") if name in rows]
    return filled("curves", rows[columns], palette, x=x, y=y, **titles)


def interval_chart(test: TestSet, palette: Palette) -> Chart:
    """The MAE of every network, a dot on its interval."""
    rows = []
    for name, summary in test.every_network.items():
        low, high = test.intervals.get(name, {}).get("mae", (nan, nan))
        label = f"{name}: MAE {summary['mae']:.2f}°"
        if name in test.intervals:
            label += f", {INTERVAL} {test.interval_text(name)}"
        row = {"network": name, "mae": summary["mae"], "low": low, "high": high}
        rows.append({**row, "label": label})
    errors = pd.DataFrame(rows)
    text = f"{'; '.join(errors['label'])}."
    return Chart(test.title, filled("intervals", errors, palette), text)


def coverage_chart(test: TestSet, palette: Palette) -> Chart:
    """The share of faces within ±1 std, a mark per angle, and the expected share."""
    uncertainty = paper_tables.uncertainty_table([test])
    shares = paper_tables.coverage_table(uncertainty).drop(columns="test")
    spec = filled("coverage", shares, palette)
    numbers = shares.rename(columns=lambda name: name.removeprefix("covered_"))
    numbers = numbers[["network", *ANGLES]]
    marks = numbers.melt("network", var_name="angle", value_name="share")
    farthest = marks.iloc[int((marks["share"] - ONE_SIGMA).abs().to_numpy().argmax())]
    text = "Farthest from {:.2f}: {network}, {angle}: {share:.2f}.".format(ONE_SIGMA, **farthest)
    return Chart(test.title, spec, text, numbers)


def heatmap_charts(test: TestSet, teacher: Cell, published: pd.DataFrame) -> list[Chart]:
    """Fig. 7: gains over one window for every K and d; beside it the published cells, if any.

    published: Tables 2 to 4 of all protocols, as for `paper_tables.cells_table`. Both charts have
    the same axes and colours, which end at the gains that heatmap.json names.
    """
    table = paper_tables.cells_table([test], teacher, published)
    # every number up to the largest: a sweep may end before the paper's cells
    domains = {"x": range(1, table["d"].max() + 1), "y": range(table["K"].max(), -1, -1)}
    own = table[table["source"] == paper_tables.OURS]
    charts = [_heatmap(test.title, f"{own['faces'].iloc[0]} faces", own, domains)]
    paper = table[table["source"] == paper_tables.PAPER]
    if len(paper):
        charts.append(_heatmap(f"{test.title}, paper", "Published", paper, domains))
        del charts[-1].spec["layer"][-1]  # marks that only ours have, with their legend
    return charts


def _heatmap(
    title: str, what: str, cells: pd.DataFrame, domains: Mapping[str, Sequence[int]]
) -> Chart:
    """One panel. what: begins its text; domains: axis → all d or K, from left and from the top."""
    spec = filled("heatmap", cells.drop(columns=["test", "faces"]))
    for axis, domain in domains.items():
        spec["encoding"][axis]["scale"] = {"domain": list(domain)}
    best = paper_tables.best_cell(cells)
    errors = cells.set_index(["K", "d"])["mae"]
    base, least = errors[paper_tables.ONE_WINDOW], errors[best]
    text = (
        f"{what}: one window {base:.3f}°, best {least:.3f}° at "
        f"K={best[0]}, d={best[1]} ({gain(least, base):+.1f} %)."
    )
    numbers = cells.pivot(index="K", columns="d", values="mae").add_prefix("d=").reset_index()
    return Chart(title, spec, text, numbers)


def errors_by_yaw(predictions: pd.DataFrame) -> pd.DataFrame:
    """The MAE by bands of the label's yaw, left and right apart.

    Returns one row per network and band that has faces: network, yaw (the band's middle), low, high
    (its ends), faces, mae; several seeds are averaged.
    """
    middle = np.round(predictions["true_yaw"] / YAW_STEP_DEG) * YAW_STEP_DEG
    table = predictions.assign(
        yaw=middle + 0.0,
        mae=face_errors_deg(predictions),
        network=pd.Categorical(predictions["network"], predictions["network"].unique()),
    )
    grouped = table.groupby(["network", "yaw"], observed=True)
    found = grouped.agg(faces=("face_id", "nunique"), mae=("mae", "mean")).reset_index()
    half = YAW_STEP_DEG / 2
    return found.assign(
        network=found["network"].astype("str"), low=found["yaw"] - half, high=found["yaw"] + half
    )


def yaw_chart(test: TestSet, predictions: pd.DataFrame, palette: Palette) -> Chart:
    """predictions: of every seed on this test set."""
    table = errors_by_yaw(predictions)
    form = "{network}, yaw {low:+g} to {high:+g}°: MAE {mae:.2f}°, faces: {faces}"
    table["label"] = _labels(table, form)
    titles = {"x_label": "yaw of the label, degrees", "y_label": "MAE, degrees"}
    spec = curves(table, palette, x="yaw", y="mae", **titles)
    return Chart(test.title, spec, f"Largest error: {_worst(table)}.", _wide(table, "yaw"))


def jitter_chart(test: TestSet, kind: str, jitter: pd.DataFrame, palette: Palette) -> Chart:
    """jitter: as from `results.jitter_by_level`, of all tests. Both kinds have one error axis."""
    of_test = (jitter["test"] == test.name) & jitter["network"].isin(list(test.networks))
    levels = jitter[of_test]
    own = levels[levels["kind"] == kind].sort_values("level", kind="stable")
    x_title, verb = _JITTER[kind]
    rows = own[["network", "kind", "level", "mae"]]
    spec = filled("jitter", rows, palette, x_label=x_title)
    spec["encoding"]["y"]["scale"]["domain"] = [levels["mae"].min(), levels["mae"].max()]
    percent = own.assign(percent=100 * own["level"])
    ticks = sorted(percent["percent"].round(4).unique())
    spec["encoding"]["x"]["axis"] |= {"values": ticks[:: 1 + len(ticks) // 8], "format": ".3~g"}
    worst = percent.iloc[int(own["mae"].to_numpy().argmax())]
    text = (
        f"{int(own['faces'].iloc[0])} faces. Largest error: {worst['network']} at "
        f"{worst['percent']:.3g}\N{NO-BREAK SPACE}%, MAE {worst['mae']:.2f}°."
    )
    return Chart(f"{test.title}, {verb}", spec, text, _wide(percent, "percent"))


def jitter_kinds(jitter: pd.DataFrame) -> list[str]:
    """The kinds that were measured, in the order of the charts."""
    return [kind for kind in _JITTER if kind in set(jitter["kind"])]


def risk_chart(test: TestSet, palette: Palette) -> Chart:
    """The MAE of the most certain faces, for every share of them; lower is better.

    Dashed: the base network's faces in the order of their true errors, the lowest MAE that any
    order could reach.
    """
    table = test.risk[test.risk["network"].isin([*test.networks, ORACLE])].copy()
    table["label"] = _labels(table, "{network}, {percent} % kept: MAE {mae:.2f}°")
    with_oracle = replace(palette, networks={**palette.networks, ORACLE: palette.pale})
    titles = {"x_label": "most certain faces kept, %", "y_label": "MAE of the kept, degrees"}
    spec = curves(table, with_oracle, x="percent", y="mae", **titles)
    kept = table.pivot(index="percent", columns="network", values="mae")
    text = "MAE of all faces, and of the most certain half: " + "; ".join(
        f"{name} {kept[name][100]:.2f}° and {kept[name][50]:.2f}°" for name in test.networks
    )
    return Chart(test.title, spec, f"{text}.", _wide(table, "percent"))


def training_chart(protocol: str, histories: Mapping[str, pd.DataFrame], palette: Palette) -> Chart:
    """histories: network-seed → its history (epoch, loss, mae)."""
    form = "{run}, epoch {epoch:.0f}: MAE {mae:.2f}°, loss {loss:.3f}"
    parts = []
    for run, history in histories.items():
        own = history.assign(run=run, network=run.rpartition("-")[0])
        parts.append(own.assign(label=pd.Series(few_labels(_labels(own, form)))))
    table = pd.concat(parts)
    titles = {"x_label": "epoch", "y_label": "MAE on training faces, degrees"}
    spec = curves(table, palette, x="epoch", y="mae", **titles)
    numbers = table.pivot(index="epoch", columns="run", values="mae")[list(histories)]
    last = "; ".join(f"{run} {own['mae'].iloc[-1]:.2f}°" for run, own in histories.items())
    text = f"Over the last epoch: {last}."
    return Chart(f"Protocol {protocol}", spec, text, numbers.reset_index())


def few_labels(labels: Sequence[str]) -> list[str | None]:
    """Labels of evenly spaced points, at most about forty; None for the others.

    The last point keeps its label.
    """
    step = -(-len(labels) // _MOST_POINTS)
    last = len(labels) - 1
    return [text if (last - place) % step == 0 else None for place, text in enumerate(labels)]


def _wide(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """One row per value of x, one column per network."""
    networks = table["network"].unique()
    return table.pivot(index=x, columns="network", values="mae")[networks].reset_index()


def _labels(table: pd.DataFrame, form: str) -> list[str]:
    """One label per row: `form` with the row's values."""
    return [form.format_map(row) for row in table.to_dict("records")]


def _worst(table: pd.DataFrame) -> str:
    """The label of the row with the largest error."""
    return str(table["label"].iloc[int(table["mae"].to_numpy().argmax())])

"""The sections of the page that show what was measured: from results to tables and charts."""

from collections.abc import Mapping, Sequence

import pandas as pd

from hpe_core import paper_tables
from hpe_core.charts import (
    DARKEST_GAIN,
    Chart,
    Curve,
    colours_of,
    coverage_spec,
    curves_spec,
    few_labels,
    heatmap_spec,
    interval_spec,
)
from hpe_core.findings import Choice, errors_by_yaw, headline_sentence, verdict
from hpe_core.geometry import ANGLES
from hpe_core.metrics import gain
from hpe_core.page import Block, Charts, Section, Table, Text, table_of
from hpe_core.paper_tables import TestSet
from hpe_core.predictions import ORACLE
from hpe_core.sheets import PAPER, PIXELS, Results, Sheet, all_sheets
from hpe_core.uncertainty import ONE_SIGMA

_PALE = "var(--pale)"
_JITTER = {  # kind → axis title, factor to its unit, where the box is as it is
    "shift": ("shift of the box, % of its side", 100.0, 0.0),
    "scale": ("size of the box, % of the detected", 100.0, 100.0),
}


def network_colours(results: Results) -> dict[str, str]:
    """Colours of all networks of all test sets, in the order of the tables."""
    return colours_of(name for test in results.tests for name in test.every_network)


def summary_section(results: Results, choices: Mapping[str, Choice]) -> Section:
    colours = network_colours(results)
    table = paper_tables.results_table(results.tests, results.published.methods)
    told = [
        Text(
            verdict(test, choices[test.protocol]),
            f"{test.title}, {paper_tables.faces_of(test)} faces.",
        )
        for test in results.tests
    ]
    sentence = headline_sentence(results.tests, choices)
    headline = [Text(sentence)] if sentence else []
    blocks: list[Block] = [
        Text(
            f"All numbers were measured on: {results.corpora}. They compare with the paper's only "
            "if these are the paper's corpora."
        ),
        *headline,
        *told,
        Charts([interval_chart(test, colours) for test in results.tests], colours),
        table_of(
            table.drop(columns="faces"),
            "Base network, ensemble and students",
            note=f"Errors in degrees. MAE: mean of pitch, yaw and roll. {paper_tables.INTERVAL}: "
            "where the MAE would lie on other faces of the same kind (bootstrap over people, videos"
            " or photographs). gain: share of the base network's MAE that is saved; * more than the"
            " choice of faces explains (p < 0.05). geodesic: angle of the rotation between"
            " prediction and truth. Of several seeds: mean ± standard deviation over the seeds."
            f" Ensemble, and teacher of the students: {results.teacher_text}. {PAPER}",
        ),
    ]
    return Section("summary", "Summary", blocks)


def interval_chart(test: TestSet, colours: Mapping[str, str]) -> Chart:
    rows = []
    for name, summary in test.every_network.items():
        low, high = test.intervals.get(name, {}).get("mae", (None, None))
        within = "" if low is None else f", {paper_tables.INTERVAL} {low:.2f}–{high:.2f}"
        label = f"{name}: MAE {summary['mae']:.2f}°{within}"
        row = {"network": name, "mae": summary["mae"], "low": low, "high": high}
        rows.append({**row, "label": label})
    errors = pd.DataFrame(rows).astype({"low": "f8", "high": "f8"})
    text = f"{'; '.join(row['label'] for row in rows)}."
    return Chart(test.title, interval_spec(errors, colours), text, caption=False)


def tables_section(results: Results) -> Section:
    blocks = [table for sheet in all_sheets(results) for table in sheet_tables(sheet)]
    sweep = paper_tables.sweep_table(results.tests, results.teacher, results.published.ensemble)
    title = "Ensembles of every K and d: one window, the teacher's K and d, the best"
    note = (
        "Shifts alone. best was looked up on the test set itself: it shows what there is to gain, "
        f"and nothing uses it. {PIXELS}"
    )
    return Section(
        "tables",
        "Tables",
        [
            Text(f"{PAPER} A click on a title opens its table, one on a heading sorts it."),
            *blocks,
            table_of(sweep, title, 3, note=note, folded=True),
        ],
    )


def sheet_tables(sheet: Sheet) -> list[Table]:
    """One table, or two."""
    first, *more = sheet.shown
    title, digits = sheet.title, sheet.digits
    tables = [table_of(first, title, digits, sheet.bold, sheet.note, folded=True)]
    return tables + [table_of(m, sheet.more_title, digits, folded=True) for m in more]


def heatmap_section(results: Results) -> Section:
    words = (
        "How much the mean over shifted boxes gains on the box alone (white): blue is better, red"
        " is worse. K: the farthest shift, d: its step; where K < d there is one window. Square:"
        " the teacher's K and d; diamond: the best, looked up on the test set itself, only for"
        f" looking. Colours end at {DARKEST_GAIN:g} %: what gains or loses more is as dark; its "
        "number shows under the pointer. Shifts alone: the teacher may mirror or turn faces, too "
        f"(here: {results.teacher_text}). {PIXELS}"
    )
    charts = [heatmap_chart(test, results.teacher) for test in results.tests]
    return Section("heatmaps", "Which shifts to average", [Text(words), Charts(charts, {})])


def heatmap_chart(test: TestSet, teacher: paper_tables.Cell) -> Chart:
    cells = test.cells
    base = float(cells.loc[cells["S"] == 1, "mae"].iloc[0])
    gains = [gain(float(mae), base) for mae in cells["mae"]]
    labels = [
        f"K={k}, d={d}, {s} windows: MAE {mae:.3f}°, {percent:+.1f} %"
        for k, d, s, mae, percent in zip(
            cells["K"], cells["d"], cells["S"], cells["mae"], gains, strict=True
        )
    ]
    table = cells[["K", "d"]].assign(gain=gains, label=labels)
    best = paper_tables.best_cell(cells)
    least = float(cells["mae"].min())
    text = (
        f"{int(cells['faces'].iloc[0])} faces: one window {base:.3f}°, best {least:.3f}° at "
        f"K={best[0]}, d={best[1]} ({gain(least, base):+.1f} %)."
    )
    numbers = cells.pivot(index="K", columns="d", values="mae").add_prefix("d=").reset_index()
    return Chart(test.title, heatmap_spec(table, teacher, best), text, numbers)


def yaw_section(results: Results, predictions: Mapping[str, pd.DataFrame]) -> Section:
    """predictions: test set → its table of predictions."""
    colours = network_colours(results)
    words = (
        "The MAE by the label's yaw, in bands of 15°, left and right apart: from all predictions. "
        "A band of few faces says little; the number under the pointer says how many there are. "
        "By |yaw|: among the tables."
    )
    charts = [yaw_chart(test, predictions[test.name], colours) for test in results.tests]
    return Section("yaw", "Error by yaw", [Text(words), Charts(charts, _evaluated(results))])


def yaw_chart(test: TestSet, predictions: pd.DataFrame, colours: Mapping[str, str]) -> Chart:
    table = errors_by_yaw(predictions)
    form = "{network}, yaw {low:+g} to {high:+g}°: MAE {mae:.2f}°, faces: {faces}"
    table["label"] = _labels(table, form)
    spec = curves_spec(_curves(table, "yaw", colours), "yaw of the label, degrees", "MAE, degrees")
    numbers = _wide(table, "yaw")
    return Chart(test.title, spec, f"Largest error: {_worst(table)}.", numbers)


def jitter_section(results: Results) -> Section:
    colours = network_colours(results)
    words = (
        "How exact must a box be? The MAE for boxes that are moved (mean over four directions) or "
        "resized by known amounts. The upright line is the box as it is."
    )
    charts = [
        jitter_chart(test, kind, levels_of(results.jitter, test, kind), colours)
        for kind in _JITTER
        if kind in set(results.jitter["kind"])
        for test in results.tests
    ]
    blocks: list[Block] = [Text(words), Charts(charts, _evaluated(results))]
    return Section("jitter", "Error by jittered box", blocks)


def levels_of(jitter: pd.DataFrame, test: TestSet, kind: str) -> pd.DataFrame:
    """What was measured of one test set's networks with boxes moved, or resized."""
    own = (jitter["test"] == test.name) & jitter["network"].isin(list(test.networks))
    return jitter[own & (jitter["kind"] == kind)]


def jitter_chart(
    test: TestSet, kind: str, levels: pd.DataFrame, colours: Mapping[str, str]
) -> Chart:
    title, factor, unchanged = _JITTER[kind]
    table = levels.assign(percent=levels["level"] * factor).sort_values("percent", kind="stable")
    what = {"shift": "moved by", "scale": "resized to"}[kind]
    table["label"] = _labels(table, f"{{network}}, box {what} {{percent:.3g}} %: MAE {{mae:.2f}}°")
    curves = _curves(table, "percent", colours)
    spec = curves_spec(curves, title, "MAE, degrees", upright=(unchanged, "box as it is"))
    faces = int(table["faces"].iloc[0])
    text = f"{faces} faces. Largest error: {_worst(table)}."
    return Chart(f"{test.title}, {what.split()[0]}", spec, text, _wide(table, "percent"))


def risk_section(results: Results) -> Section:
    colours = network_colours(results)
    words = (
        "The MAE of the faces that are kept when those of the "
        "largest predicted standard deviation are refused. A curve that falls to the left knows. "
        "Dashed: the base network's faces in the order of their true errors, the lowest that any "
        "order of them could reach. Coverage and rank correlations: among the tables."
    )
    charts = [risk_chart(test, colours) for test in results.tests]
    legend = {**_evaluated(results), ORACLE: _PALE}
    sizes = (
        "Is the predicted standard deviation of the right size? Of a normal error 0.68 of the faces"
        " lie within ±1 std (upright line): left of it networks are too sure, right of it not sure "
        "enough. It is made to fit on validation faces, where there are any."
    )
    covered = Charts([coverage_chart(test, colours) for test in results.tests], {})
    blocks: list[Block] = [Text(words), Charts(charts, legend), Text(sizes), covered]
    return Section("risk", "Do networks know where they err?", blocks)


def coverage_chart(test: TestSet, colours: Mapping[str, str]) -> Chart:
    rows = []
    for name in test.networks:
        std = test.uncertainty[name]["std"]
        fitted = "" if std["calibrated"] else ", not calibrated"
        for angle in ANGLES:
            share = std["coverage"][angle]
            label = f"{name}, {angle}: {share:.2f} of the faces within ±1 std{fitted}"
            rows.append({"network": name, "angle": angle, "share": share, "label": label})
    shares = pd.DataFrame(rows)
    farthest = max(rows, key=lambda row: abs(row["share"] - ONE_SIGMA))["label"]
    numbers = shares.pivot(index="network", columns="angle", values="share")[list(ANGLES)]
    return Chart(
        test.title,
        coverage_spec(shares, ONE_SIGMA, colours),
        f"Farthest from {ONE_SIGMA:.2f}: {farthest}.",
        numbers.loc[list(test.networks)].reset_index(),
    )


def risk_chart(test: TestSet, colours: Mapping[str, str]) -> Chart:
    table = test.risk[test.risk["network"].isin([*test.networks, ORACLE])].copy()
    table["label"] = _labels(table, "{network}, {percent} % kept: MAE {mae:.2f}°")
    curves = _curves(table, "percent", {**colours, ORACLE: _PALE}, dashed=(ORACLE,))
    spec = curves_spec(curves, "most certain faces kept, %", "MAE of the kept, degrees")
    all_kept = table[table["percent"] == 100].set_index("network")["mae"]
    half = table[table["percent"] == 50].set_index("network")["mae"]
    text = "MAE of all faces, and of the most certain half: " + "; ".join(
        f"{name} {all_kept[name]:.2f}° and {half[name]:.2f}°" for name in test.networks
    )
    return Chart(test.title, spec, f"{text}.", _wide(table, "percent"))


def training_section(
    histories: Mapping[str, Mapping[str, pd.DataFrame]], colours: Mapping[str, str]
) -> Section:
    """histories: protocol → network-seed → its history (epoch, loss, mae).

    Neither compares between base and students: losses are of different formulas, and the MAE is of
    different views of the faces.
    """
    words = (
        "The MAE on training faces over every epoch, as the network saw them. The base network's "
        "are turned, mirrored and changed in colour; the students' are mirrored and changed in "
        "colour, in the views of their teacher, which are upright (and with distill.views above 1 "
        "turned, too). So students compare with each other, and not with the base network. It is "
        "no measure of other faces. One line a network and seed."
    )
    charts = [training_chart(protocol, own, colours) for protocol, own in histories.items()]
    names = {name.rpartition("-")[0] for own in histories.values() for name in own}
    trained = {name: colour for name, colour in colours.items() if name in names}
    blocks: list[Block] = [Text(words), Charts(charts, trained)]
    return Section("training", "Training curves", blocks)


def training_chart(
    protocol: str, histories: Mapping[str, pd.DataFrame], colours: Mapping[str, str]
) -> Chart:
    curves, parts = [], []
    for name, history in histories.items():
        form = "{network}, epoch {epoch:.0f}: MAE {mae:.2f}°, loss {loss:.3f}"
        labels = few_labels(_labels(history.assign(network=name), form))
        points = pd.DataFrame({"x": history["epoch"], "y": history["mae"], "label": labels})
        curves.append(Curve(name, points, colours[name.rpartition("-")[0]]))
        parts.append(history.assign(network=name))
    last = "; ".join(f"{c.name} {c.points['y'].iloc[-1]:.2f}°" for c in curves)
    spec = curves_spec(curves, "epoch", "MAE on training faces, degrees")
    numbers = pd.concat(parts).pivot(index="epoch", columns="network", values="mae")
    text = f"Over the last epoch: {last}."
    return Chart(f"Protocol {protocol}", spec, text, numbers.reset_index())


def _curves(
    table: pd.DataFrame, x: str, colours: Mapping[str, str], dashed: Sequence[str] = ()
) -> list[Curve]:
    """One curve a network, of the columns x, mae and label."""
    return [
        Curve(
            str(name),
            pd.DataFrame({"x": own[x], "y": own["mae"], "label": own["label"]}),
            colours[str(name)],
            str(name) in dashed,
        )
        for name, own in table.groupby("network", sort=False)
    ]


def _wide(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """One row a value of x, one column a network."""
    networks = table["network"].unique()
    return table.pivot(index=x, columns="network", values="mae")[networks].reset_index()


def _evaluated(results: Results) -> dict[str, str]:
    """The legend of charts without imported networks, whose predictions are not kept."""
    names = {name for test in results.tests for name in test.networks}
    return {name: c for name, c in network_colours(results).items() if name in names}


def _labels(table: pd.DataFrame, form: str) -> list[str]:
    """One label a row: `form` with the row's values."""
    columns = [table[name].tolist() for name in table]
    rows = [dict(zip(table.columns, values, strict=True)) for values in zip(*columns, strict=True)]
    return [form.format(**row) for row in rows]


def _worst(table: pd.DataFrame) -> str:
    """The label of the row with the largest error."""
    return str(table["label"].iloc[int(table["mae"].to_numpy().argmax())])

"""The paper's tables and its heat map from all metrics, with the published values beside ours.

All metrics, counts, published tables and the card's template → tables (CSV, Markdown), figures,
the MAE of all networks as one metrics file, a model card per protocol.
"""

from pathlib import Path

from hpe_core.common.files import atomic, write_json
from hpe_core.common.stage import run
from hpe_core.tables.catalogue import Sheet, all_sheets, headline, page_of, summary_sheets
from hpe_core.tables.figures import save_figures
from hpe_core.tables.model_card import write_cards
from hpe_core.tables.results import Results, read_results


def main(
    *,
    params: Path,
    metrics: Path,
    published: Path,
    card: Path,
    tables: Path,
    summary: Path,
    figures: Path,
) -> None:
    results = read_results(params, metrics, published)
    for sheet in all_sheets(results):
        write_sheet(sheet, results.corpora, tables)
    write_text(summary_page(results), tables / "summary.md")
    write_json(headline(results), summary)
    write_cards(params, results, metrics, card, tables)
    save_figures(results, figures)


def write_sheet(sheet: Sheet, corpora: str, folder: Path) -> None:
    """As CSV and Markdown, and in both the corpora that its numbers come from."""
    with atomic(folder / f"{sheet.name}.csv") as temporary:
        labelled = sheet.table.round(4).assign(corpora=corpora)
        labelled.to_csv(temporary, index=False, lineterminator="\n")
    write_text(page_of(sheet.title, corpora, [sheet.markdown()]), folder / f"{sheet.name}.md")


def summary_page(results: Results) -> str:
    """What `make demo` prints."""
    sheets = summary_sheets(results)
    parts = [f"## {sheet.title}\n\n{sheet.markdown()}" for sheet in sheets]
    parts += [
        "comparisons.md compares every pair of networks. uncertainty.md and figures/risk.png show\n"
        "how well the networks' uncertainty predicts their errors."
    ]
    return page_of("Head pose: base network, offset ensemble, students", results.corpora, parts)


def write_text(text: str, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)

"""All results as one HTML page that fetches nothing: tables, charts, faces, provenance.

    all metrics, predictions, crops, histories, networks, targets → page

The page may show real people, so it lies under data/, which git ignores.
"""

from pathlib import Path

from hpe_core.common.settings import load
from hpe_core.common.stage import run
from hpe_core.evaluation.settings import Seeds, Students
from hpe_core.page.conclusions import chosen_student
from hpe_core.page.contents import Contents
from hpe_core.page.counts import counts_of
from hpe_core.page.html import write_page
from hpe_core.page.inputs import (
    Artifacts,
    face_groups,
    read_averaged,
    read_histories,
    read_predictions,
    result_files,
)
from hpe_core.page.provenance import origin_of
from hpe_core.tables.results import read_each, read_results
from hpe_core.tables.settings import Tables


def main(
    *,
    params: Path,
    metrics: Path,
    published: Path,
    template: Path,
    page: Path,
    artifacts: Artifacts,
) -> None:
    results = read_results(params, metrics, published)
    seeds, students = load(params, "seeds", Seeds), load(params, "students", Students)
    choices = {name: chosen_student(students, own) for name, own in results.validation.items()}
    predictions = read_predictions(results, artifacts)
    of_seed = {name: own[own["seed"] == seeds[0]] for name, own in predictions.items()}
    shown = load(params, "tables", Tables).examples
    boxes = read_each(metrics / "corpora", results.counts, "boxes")
    leaks = read_each(metrics / "protocols", results.train, "leaks")
    files = result_files(results, params, artifacts)
    contents = Contents(
        results=results,
        choices=choices,
        runs=len(seeds),
        predictions=predictions,
        histories=read_histories(results, params, artifacts.histories),
        averaged=list(read_averaged(results, seeds[0], artifacts)),
        faces=list(face_groups(results, choices, of_seed, shown, artifacts.crops)),
        counts=counts_of(results, boxes, leaks),
        origin=origin_of(Path.cwd(), params, files),
    )
    write_page(contents.values(), template, page)


if __name__ == "__main__":
    run(main)

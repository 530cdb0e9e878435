"""All that was measured as one HTML page that fetches nothing: tables, charts, faces, origin.

    all metrics, predictions, test crops, histories, networks, targets, training crops → page

The page may show real people, so it lies under data/, which git ignores.
"""

import argparse
from pathlib import Path

from hpe_core.findings import chosen_student
from hpe_core.io.files import read_json, sha256
from hpe_core.io.page_file import write_page
from hpe_core.io.provenance import checkout_of, package_versions
from hpe_core.io.tables import read_table
from hpe_core.page import Page
from hpe_core.page_faces import faces_section, teacher_section
from hpe_core.page_origin import counts_section, provenance_section
from hpe_core.page_sections import (
    heatmap_section,
    jitter_section,
    network_colours,
    risk_section,
    summary_section,
    tables_section,
    training_section,
    yaw_section,
)
from hpe_core.params.loading import load
from hpe_core.params.protocols import Seeds, Students
from hpe_core.params.results import Tables
from hpe_core.predictions import ENTROPY_PYR, PYR, TRUE_PYR
from hpe_core.sheets import Results
from pipeline._cli import run
from pipeline._page_inputs import (
    evaluated,
    face_groups,
    read_averaged,
    read_histories,
    result_files,
)
from pipeline._results import Folders, add_folders, read_results

TITLE = "Head pose: base network, offset ensemble, students"


def main(
    *,
    params: Path,
    boxes: Path,
    histories: Path,
    predictions: Path,
    networks: Path,
    targets: Path,
    train_crops: Path,
    test_crops: Path,
    template: Path,
    page: Path,
    **folders: Path,
) -> None:
    """folders: as `Folders` names them."""
    results = read_results(params, Folders(**folders))
    seeds, students = load(params, "seeds", Seeds), load(params, "students", Students)
    choices = {name: chosen_student(students, own) for name, own in results.validation.items()}
    columns = ["face_id", "network", "seed", *PYR, *TRUE_PYR, *ENTROPY_PYR]
    tables = {
        test.name: evaluated(read_table(predictions / f"{test.name}.parquet", columns), test)
        for test in results.tests
    }
    colours = network_colours(results)
    averaged = list(read_averaged(params, results, seeds[0], networks, targets, train_crops))
    shown = load(params, "tables", Tables).examples
    groups = list(face_groups(results.tests, choices, tables, seeds[0], shown, test_crops))
    files = result_files(results, students, seeds, networks, targets, train_crops, test_crops)
    checkout = checkout_of(Path.cwd())
    sections = [
        summary_section(results, choices),
        tables_section(results),
        heatmap_section(results),
        yaw_section(results, tables),
        jitter_section(results),
        risk_section(results),
        faces_section(groups, choices),
        training_section(read_histories(results, students, seeds, histories), colours),
        teacher_section(tables, averaged, results.teacher_text, colours),
        counts_section(
            results,
            {name: read_json(boxes / f"{name}.json") for name in results.counts},
            {name: read_json(folders["leaks"] / f"{name}.json") for name in results.train},
        ),
        provenance_section(
            checkout.commit,
            checkout.changed,
            {str(path): sha256(path) for path in files},
            package_versions(Path.cwd()),
            params.read_text("utf-8"),
        ),
    ]
    write_page(Page(TITLE, subtitle(results, seeds), sections), template, page)


def subtitle(results: Results, seeds: Seeds) -> str:
    runs = f"{len(seeds)} runs of everything" if len(seeds) > 1 else "one run"
    return f"{results.corpora}; {runs}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True)
    add_folders(parser)
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--histories", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--targets", type=Path, required=True)
    parser.add_argument("--train-crops", type=Path, required=True)
    parser.add_argument("--test-crops", type=Path, required=True)
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    run(main, parser)

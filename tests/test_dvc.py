"""`dvc repro` of the whole graph on a tiny profile, and what it re-runs after which change."""

import json
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import yaml
from faults.kills import MAKING, check_repro, cloned, kill_repro, start_repro
from faults.project import HANG
from tiny_project import ENVIRONMENT, call, checkout, run

NO_NETWORK = """
import pathlib, socket

OURS = {None, "", "localhost", "127.0.0.1", "::1", socket.gethostname(), socket.getfqdn()}

def only_ours(call, host_of):
    def checked(*words, **named):
        host = host_of(*words)
        if host in OURS:
            return call(*words, **named)
        with pathlib.Path(__file__).with_name("asked").open("a") as file:
            print(host, file=file)
        raise OSError(f"no network here: {host}")
    return checked

def host_of(own, address):
    return None if own.family == socket.AF_UNIX else address[0]

socket.getaddrinfo = only_ours(socket.getaddrinfo, lambda host, *_: host)
socket.socket.connect = only_ours(socket.socket.connect, host_of)
"""  # a sitecustomize.py: every Python process runs it before anything else


def would_run(folder: Path) -> set[str]:
    """Stages that `dvc repro` finds changed, and all that depend on them.

    Not what only waits for `check` or `leaks`: what they write for it is always the same. A dry run
    stops at a new stage that waits for another's first output; the edges say what would follow.
    """
    dry = run(folder, "dvc", "repro", "--dry", "--keep-going")
    assert dry.returncode == 0 or "No such file or directory" in dry.stderr, dry.stderr[-3000:]
    changed = set(re.findall(r"Running stage '([^']+)'", dry.stdout))
    edges = re.findall(r'"([^"]+)" -> "([^"]+)"', call(folder, "dvc", "dag", "--dot"))
    reached, waiting = set(), list(changed)
    while waiting:
        stage = waiting.pop()
        reached.add(stage)
        following = {after for before, after in edges if before == stage} - reached
        waiting += [after for after in following if not only_waits(after, stage)]
    return reached


def only_waits(after: str, before: str) -> bool:
    leaks = before.startswith("leaks@") and after.startswith("train_base@")
    return leaks or before == "check"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "no-network").mkdir()
    (folder / "no-network/sitecustomize.py").write_text(NO_NETWORK)
    root = checkout(folder)
    call(root, "dvc", "repro")
    call(root, "git", "add", "-A")
    call(root, "git", "commit", "-qm", "results")
    return root


@pytest.fixture
def changed(project):
    """A function that changes a file and returns what would run; the file is put back."""
    originals: dict[Path, str] = {}

    def change(name: str, edit) -> set[str]:
        path = project / name
        originals[path] = path.read_text()
        path.write_text(edit(originals[path]))
        return would_run(project)

    yield change
    for path, text in originals.items():
        path.write_text(text)


def set_param(keys: str, value: object):
    def edit(text: str) -> str:
        params = yaml.safe_load(text)
        *sections, last = keys.split(".")
        section = params
        for key in sections:
            section = section[key]
        section[last] = value
        return yaml.safe_dump(params, sort_keys=False)

    return edit


def test_the_second_repro_runs_nothing(project):
    assert would_run(project) == set()
    assert "Running stage" not in call(project, "dvc", "repro")
    assert call(project, "git", "status", "--porcelain").strip() == ""


AFTER_NETWORKS = {
    "validate@p2", "evaluate@p2-AFLW", "jitter@p2-AFLW", "examples@p2-AFLW", "tables", "report",
}  # fmt: skip
STUDENTS = {"distill@p2-resnet8-1", "distill@p2-resnet8-2"}
AFTER_TARGETS = {"ensemble@p2-1", "ensemble@p2-2", *STUDENTS, *AFTER_NETWORKS}


def test_another_ensemble_re_runs_nothing_before_it(changed):
    assert changed("params.yaml", set_param("ensemble.K", 2)) - {"check"} == AFTER_TARGETS


def test_metrics_re_run_the_evaluation_only(changed):
    ran = changed("hpe_core/metrics.py", lambda text: text + "\n# edited\n")
    assert ran == AFTER_NETWORKS


def test_another_seed_runs_its_own_stages_and_the_evaluation(changed):
    own = {"train_base@p2-3", "ensemble@p2-3", "distill@p2-resnet8-3"}
    ran = changed("params.yaml", set_param("seeds", [1, 2, 3]))
    assert ran - {"check"} == own | AFTER_NETWORKS


def test_another_student_runs_its_own_stages_and_the_evaluation(changed):
    own = {"distill@p2-resnet10-1", "distill@p2-resnet10-2"}
    ran = changed("params.yaml", set_param("students", ["resnet8", "resnet10"]))
    assert ran - {"check"} == own | AFTER_NETWORKS


def test_without_students_nothing_is_distilled(changed):
    ran = changed("params.yaml", set_param("students", []))
    assert ran - {"check"} == AFTER_NETWORKS


def test_other_students_do_not_re_run_their_base(changed):
    ran = changed("params.yaml", set_param("distill.lr", 1.0e-3))
    assert ran - {"check"} == STUDENTS | AFTER_NETWORKS


def test_other_validation_faces_re_run_no_detection_and_no_test_crops(changed):
    ran = changed("params.yaml", set_param("protocols.p2.validation", 0.2))
    bases = {"train_base@p2-1", "train_base@p2-2"}
    assert ran - {"check"} == {
        "crop_train@p2", "leaks@p2", *bases, "sweep@p2-AFLW", *AFTER_TARGETS,
    }  # fmt: skip


def test_strict_leaks_are_looked_for_again_and_train_nothing(changed):
    assert changed("params.yaml", set_param("leaks.strict", True)) - {"check"} == {
        "leaks@p2", "tables", "report",
    }  # fmt: skip


def test_the_machine_changes_nothing(changed):
    assert changed("params.yaml", set_param("compute.infer_batch", 7)) == set()


def test_how_many_processes_run_a_stage_changes_nothing(project, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "HPE_LAUNCH", "torchrun --nproc-per-node=2 --no-python")
    assert would_run(project) == set()


def test_boxes_re_run_detection_and_all_after_it(changed):
    ran = changed("params.yaml", set_param("boxes.score", 0.4))
    crops = {"crop_train@p2", "crop_test@p2-AFLW"}
    assert {"redetect@AFLW", *crops, "train_base@p2-1", "tables"} <= ran
    assert not {"index@AFLW", "index@AFLW2000"} & ran


def test_a_wrong_parameter_stops_before_anything_runs(project):
    path = project / "params.yaml"
    text = path.read_text()
    path.write_text(set_param("ensemble.K", 99)(text))
    try:
        done = run(project, "dvc", "repro")
    finally:
        path.write_text(text)
    assert done.returncode != 0
    assert "crop.margin is 8; expected at least K = 99" in done.stdout + done.stderr
    assert "Running stage 'ensemble" not in done.stdout


def test_strict_leaks_stop_training_with_a_report(project):
    """One photograph of the tiny corpus has a face on either side."""
    path = project / "params.yaml"
    text = path.read_text()
    path.write_text(set_param("base.lr", 1.0e-3)(set_param("leaks.strict", True)(text)))
    try:
        done = run(project, "dvc", "repro", "--keep-going")
    finally:
        path.write_text(text)
    assert done.returncode != 0
    assert "p2-AFLW: 1 photograph (data/flickr/2/image00095.jpg; " in done.stdout + done.stderr
    assert re.findall(r"Running stage '([^']+)'", done.stdout) == ["check", "leaks@p2"]
    assert (project / "metrics/leaks/p2.json").is_file()
    call(project, "git", "checkout", "-q", ".")
    call(project, "dvc", "checkout", "-q")
    assert would_run(project) == set()


def test_an_experiment_with_another_ensemble(project):
    """The user's own command: it runs ensemble and what follows, and the metrics differ."""
    out = call(project, "dvc", "exp", "run", "-S", "ensemble.K=2")
    ran = set(re.findall(r"Running stage '([^']+)'", out))
    assert ran >= AFTER_TARGETS
    assert ran <= AFTER_TARGETS | {"check"}
    difference = call(project, "dvc", "metrics", "diff", "HEAD")
    assert re.search(r"p2-AFLW\.ensemble +\d", difference)
    assert "p2 validation.kd-resnet8" in difference
    detail = call(project, "dvc", "metrics", "diff", "HEAD", "--targets", "metrics/tests")
    assert "ensemble.yaw" in detail
    assert "ensemble.mae_std" in detail
    table = call(project, "dvc", "exp", "show", "--only-changed", "--drop", ".*/.*", "--csv")
    columns = table.splitlines()[0]
    assert "ensemble.K" in columns
    assert "p2-AFLW.kd-resnet8" in columns
    assert len(columns.split(",")) < 12, "too wide to read: keep detail out of metrics"
    call(project, "git", "checkout", "-q", ".")
    call(project, "dvc", "checkout", "-q")
    assert would_run(project) == set()


def test_metrics_show_and_plots(project):
    shown = call(project, "dvc", "metrics", "show", "--json")
    maes = json.loads(shown)[""]["data"]["metrics/summary.json"]["data"]
    assert sorted(maes) == ["p2 validation", "p2-AFLW"]
    assert {tuple(own) for own in maes.values()} == {("base", "ensemble", "kd-resnet8")}
    call(project, "dvc", "plots", "show", "-o", "plots")
    html = (project / "plots" / "index.html").read_text()
    shutil.rmtree(project / "plots")
    assert "vega" in html
    assert "history_p2_base-2" in html
    for name in (
        "sweep_p2-AFLW",
        "jitter_p2-AFLW",
        "risk_p2-AFLW",
        "tables_bands",
        "tables_uncertainty",
    ):
        assert f"metrics_{name}_csv" in html


def test_a_clone_with_the_same_cache_runs_nothing(project, tmp_path):
    clone = tmp_path / "elsewhere"
    call(project, "git", "clone", "-q", str(project), str(clone))
    call(clone, "dvc", "cache", "dir", "--local", str(project / ".dvc/cache"))
    call(clone, "dvc", "checkout", "-q")
    assert would_run(clone) == set()


BOXES = "redetect@AFLW2000"


@pytest.fixture
def clone(project, tmp_path) -> Path:
    return cloned(project, tmp_path)


def test_killed_repro(project, clone):
    print(kill_repro(project, clone, ["distill@p2-resnet8-1"], 8, random.Random(0)))


def test_two_repro_at_once(project, clone, tmp_path):
    log = tmp_path / "log"
    first = start_repro(clone, log, [BOXES])
    while "Running stage" not in log.read_text():
        assert first.poll() is None
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGSTOP)
    second = run(clone, "dvc", "repro", BOXES)
    os.killpg(first.pid, signal.SIGCONT)
    assert second.returncode != 0
    assert "is busy, it is being blocked by" in second.stderr
    assert first.wait(HANG) == 0
    check_repro(project, clone, [BOXES])


def test_a_stage_that_outlives_its_dvc(project, clone, tmp_path):
    process = start_repro(clone, tmp_path / "log", [BOXES])
    lock = clone / "data/work/boxes-AFLW2000.lock"
    while not lock.exists():
        assert process.poll() is None
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    code = start_repro(clone, tmp_path / "second", [BOXES]).wait(HANG)
    os.killpg(process.pid, signal.SIGCONT)
    assert code != 0
    assert f"error: data/boxes/AFLW2000.parquet: {MAKING}" in (tmp_path / "second").read_text()
    while start_repro(clone, tmp_path / "third", [BOXES]).wait(HANG):
        assert MAKING in (tmp_path / "third").read_text()
    check_repro(project, clone, [BOXES])


def test_nothing_asked_the_network(project):
    log = project.parent / "no-network/asked"
    assert not log.exists(), log.read_text()
    assert run(
        project, "python", "-c", "import urllib.request as r; r.urlopen('http://a.b')"
    ).stderr
    assert log.read_text() == "a.b\n", "who asks is not noticed"
    log.unlink()

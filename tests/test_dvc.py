"""`dvc repro` of the whole graph on a tiny profile, and what it re-runs after which change."""

import json
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import networkx
import pytest
import yaml
from dvc.repo import Repo
from faults.kills import MAKING, check_repro, cloned, kill_repro, start_repro
from faults.project import HANG, files_of
from forked_python import serving
from tiny_project import ENVIRONMENT, ROOT, call, checkout, environment, run

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

    Not what only waits for `check` or `leaks`: what they write for it is always the same.
    """
    with Repo(folder) as repo, repo.lock:
        graph = repo.index.graph  # from each stage to those that it reads from
        waiting = [stage for stage in graph if stage.changed()]
    reached = set()
    while waiting:
        stage = waiting.pop()
        reached.add(stage)
        following = set(graph.predecessors(stage)) - reached
        waiting += [after for after in following if not only_waits(after.name, stage.name)]
    return {stage.name for stage in reached}


def only_waits(after: str, before: str) -> bool:
    leaks = before.startswith("leaks@") and after.startswith(("train_base@", "control@"))
    return leaks or before == "check"


def quick_dvc(root: Path, *words: str) -> str:
    """What dvc says, warnings too; its stages are forked. (Those of tests that kill are not.)"""
    with TemporaryDirectory() as folder, serving(root, Path(folder), environment(root)) as programs:
        path = f"PATH={programs}{os.pathsep}{ENVIRONMENT['PATH']}"
        done = run(root, "env", path, "dvc", *words)
    assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "no-network").mkdir()
    (folder / "no-network/sitecustomize.py").write_text(NO_NETWORK)
    root = checkout(folder)
    quick_dvc(root, "repro")
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
    assert call(project, "dvc", "status").strip() == "Data and pipelines are up to date."


def test_every_stage_is_one_that_repro_runs():
    """Else `dvc status` is never clean, and `dvc checkout` and `dvc pull` fail."""
    with Repo(str(ROOT)) as repo:
        graph = repo.index.graph  # from each stage to those that it reads from
        run = {stage for stage in graph if stage.path_in_repo == "dvc.yaml"}
        for stage in list(run):
            run |= networkx.descendants(graph, stage)
        assert run
        assert {stage.addressing for stage in set(graph) - run} == set()


def test_a_compiled_module_re_runs_nothing(project):
    compiled = project / "hpe_core" / "networks" / "__pycache__" / "bins.pyc"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(b"of another Python")
    assert would_run(project) == set()
    compiled.unlink()


MEASURED = {"validate@p2", "evaluate@p2-AFLW", "tables", "report"}
AFTER_NETWORKS = {"predict@p2", "examples", *MEASURED}
STUDENTS = {"distill@p2-resnet8-1", "distill@p2-resnet8-2"}
CONTROLS = {"control@p2-resnet8-1", "control@p2-resnet8-2"}
AFTER_TARGETS = {"ensemble@p2-1", "ensemble@p2-2", *STUDENTS, *AFTER_NETWORKS}


def test_another_ensemble_re_runs_nothing_before_it(changed):
    assert changed("params.yaml", set_param("ensemble.K", 10)) - {"check"} == AFTER_TARGETS


def test_metrics_re_run_the_evaluation_and_no_network(changed):
    ran = changed("hpe_core/evaluation/metrics.py", lambda text: text + "\n# edited\n")
    assert ran == MEASURED


def test_another_seed_runs_its_own_stages_and_the_evaluation(changed):
    own = {"train_base@p2-3", "ensemble@p2-3", "distill@p2-resnet8-3", "control@p2-resnet8-3"}
    ran = changed("params.yaml", set_param("seeds", [1, 2, 3]))
    assert ran - {"check"} == own | AFTER_NETWORKS


def test_another_student_runs_its_own_stages_and_the_evaluation(changed):
    own = {"distill@p2-resnet10-1", "distill@p2-resnet10-2"}
    ran = changed("params.yaml", set_param("students", ["resnet8", "resnet10"]))
    assert ran - {"check"} == own | AFTER_NETWORKS


def test_without_students_nothing_is_distilled(changed):
    ran = changed("params.yaml", set_param("students", []))
    assert ran - {"check"} == AFTER_NETWORKS


def test_without_controls_only_the_evaluation_runs(changed):
    ran = changed("params.yaml", set_param("controls", []))
    assert ran - {"check"} == AFTER_NETWORKS


def test_a_control_of_another_student_runs_its_own_stages(changed):
    own = {"control@p2-resnet10-1", "control@p2-resnet10-2"}
    ran = changed("params.yaml", set_param("controls", ["resnet8", "resnet10"]))
    assert ran - {"check"} == own | AFTER_NETWORKS


def test_other_students_do_not_re_run_their_base(changed):
    ran = changed("params.yaml", set_param("distill.lr", 1.0e-3))
    assert ran - {"check"} == STUDENTS | CONTROLS | AFTER_NETWORKS


def test_other_validation_faces_re_run_no_detection_and_no_test_crops(changed):
    ran = changed("params.yaml", set_param("protocols.p2.validation", 0.2))
    bases = {"train_base@p2-1", "train_base@p2-2"}
    assert ran - {"check"} == {
        "crop_train@p2", "leaks@p2", *bases, *CONTROLS, "sweep@p2-AFLW", *AFTER_TARGETS,
    }  # fmt: skip


def test_strict_leaks_are_looked_for_again_and_train_nothing(changed):
    assert changed("params.yaml", set_param("leaks.strict", True)) - {"check"} == {
        "leaks@p2", "tables", "report",
    }  # fmt: skip


def test_the_machine_changes_nothing(changed):
    assert changed("params.yaml", set_param("compute.infer_batch", 7)) == set()


def test_how_many_processes_run_a_stage_changes_nothing(project, monkeypatch):
    monkeypatch.setenv("HPE_LAUNCH", "torchrun --nproc-per-node=2 --no-python")
    assert would_run(project) == set()


def test_boxes_re_run_detection_and_all_after_it(changed):
    ran = changed("params.yaml", set_param("boxes.score", 0.4))
    crops = {"crop_train@p2", "crop_test@p2-AFLW"}
    assert {"redetect@AFLW", *crops, "train_base@p2-1", "tables"} <= ran
    assert not {"index@AFLW", "index@AFLW2000"} & ran


def test_a_wrong_parameter_stops_before_anything_runs(project):
    path = project / "params.yaml"
    text = path.read_text()
    path.write_text(set_param("crop.margin", 2)(text))
    try:
        done = run(project, "dvc", "repro")
    finally:
        path.write_text(text)
    assert done.returncode != 0
    assert "sweep.K_max = 7 needs a margin of 3 pixels" in done.stdout + done.stderr
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
    assert "p2-AFLW: 1 photograph (AFLW/data/flickr/2/image00095.jpg; " in done.stdout + done.stderr
    assert re.findall(r"Running stage '([^']+)'", done.stdout) == ["check", "leaks@p2"]
    assert (project / "metrics/protocols/p2/leaks.json").is_file()
    call(project, "git", "checkout", "-q", ".")
    call(project, "dvc", "checkout", "-q")
    assert would_run(project) == set()


def test_an_experiment_with_another_ensemble(project):
    """The user's own command: it runs ensemble and what follows, and the metrics differ."""
    out = quick_dvc(project, "exp", "run", "-S", "ensemble.K=10")
    assert "WARNING" not in out
    ran = set(re.findall(r"Running stage '([^']+)'", out))
    assert ran >= AFTER_TARGETS
    assert ran <= AFTER_TARGETS | {"check"}
    difference = call(project, "dvc", "metrics", "diff", "HEAD")
    assert re.search(r"p2-AFLW\.ensemble +\d", difference)
    assert "p2 validation.kd-resnet8" in difference
    detail = call(project, "dvc", "metrics", "diff", "HEAD", "--targets", "metrics/tests")
    assert re.search(r"ensemble\.(pitch|yaw|roll) ", detail)
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
    networks = ["base", "control-resnet8", "ensemble", "kd-resnet8"]
    assert [sorted(own) for own in maes.values()] == [networks] * 2, "no ensemble of one kind"
    call(project, "dvc", "plots", "show", "-o", "plots")
    html = (project / "plots" / "index.html").read_text()
    shutil.rmtree(project / "plots")
    assert "vega" in html
    assert "history_p2_base-2" in html
    for name in (
        "figures_heatmap",
        "tests_p2-AFLW_jitter",
        "tests_p2-AFLW_risk",
        "tables_bands",
        "tables_uncertainty",
    ):
        assert f"metrics_{name}_csv" in html


def test_a_clone_with_the_same_cache_runs_nothing(project, tmp_path):
    clone = tmp_path / "elsewhere"
    call(project, "git", "clone", "-q", str(project), str(clone))
    call(clone, "dvc", "cache", "dir", "--local", str(project / ".dvc/cache"))
    call(clone, "dvc", "checkout")
    assert would_run(clone) == set()


STUDENT = "data/models/p2/kd-resnet8-1.safetensors"


@pytest.fixture(scope="module")
def published(project, tmp_path_factory) -> Path:
    """A repository with a remote to which all was pushed, and a version of two artifacts."""
    folder = tmp_path_factory.mktemp("published")
    root = folder / "repository"
    call(folder, "git", "clone", "-q", str(project), str(root))
    call(root, "dvc", "remote", "add", "-d", "storage", str(folder / "storage"))
    call(root, "git", "commit", "-qam", "remote")
    call(root, "dvc", "cache", "dir", "--local", str(project / ".dvc/cache"))
    call(root, "dvc", "push")
    for name in ("p2-kd-resnet8", "face-detector"):
        call(root, "git", "tag", "-a", "-m", "first version", f"{name}@v0.1.0")
    return root


def test_pull_into_a_fresh_clone_restores_everything(project, published, tmp_path):
    clone = tmp_path / "elsewhere"
    call(tmp_path, "git", "clone", "-q", str(published), str(clone))
    call(clone, "dvc", "pull")
    assert call(clone, "dvc", "status").strip() == "Data and pipelines are up to date."
    assert call(clone, "git", "status", "--porcelain").strip() == ""
    with Repo(str(clone)) as repo:
        outs = [os.path.relpath(out.fs_path, clone) for out in repo.index.outs]
    files = {file for out in outs for file in files_of(project / out)}
    assert {project / STUDENT, project / "data/report.html"} <= files
    for file in files:
        assert (clone / file.relative_to(project)).read_bytes() == file.read_bytes(), file


def test_a_network_alone_is_pulled(project, published, tmp_path):
    clone = tmp_path / "elsewhere"
    call(tmp_path, "git", "clone", "-q", str(published), str(clone))
    call(clone, "dvc", "pull", STUDENT)
    assert (clone / STUDENT).read_bytes() == (project / STUDENT).read_bytes()
    assert not (clone / "data/crops").exists()


@pytest.mark.parametrize(
    ("name", "path"),
    [("p2-kd-resnet8", STUDENT), ("face-detector", "data/detector/yolov5n-demo.onnx")],
)
def test_an_artifact_from_the_repositorys_address(project, published, tmp_path, name, path):
    call(tmp_path, "dvc", "artifacts", "get", published.as_uri(), name, "-o", "network")
    assert (tmp_path / "network").read_bytes() == (project / path).read_bytes()


def test_artifacts_are_the_students_of_the_demo_and_its_detector():
    with Repo(str(ROOT)) as repo:
        named = {name: own.path for name, own in repo.artifacts.read()["dvc.yaml"].items()}
        made = {
            os.path.relpath(out.fs_path, ROOT)
            for stage in repo.index.stages
            if (stage.name or "").startswith("distill@")
            for out in stage.outs
            if out.fs_path.endswith("-1.safetensors")
        }
    detector = named.pop("face-detector")
    assert detector == yaml.safe_load((ROOT / "params.yaml").read_text())["boxes"]["path"]
    assert set(named.values()) == made
    for name, path in named.items():
        protocol, student = name.split("-", 1)
        assert path == f"data/models/{protocol}/{student}-1.safetensors"


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


def test_the_lock_has_no_entry_of_a_stage_that_is_gone():
    """DVC keeps them, and reads and writes them all after every stage."""
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    with Repo(str(ROOT)) as repo:
        stages = {stage.name for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"}
    assert set(locked) == stages

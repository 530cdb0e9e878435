"""Whatever dies or fills up: nothing is lost, and the next run ends with the same bytes."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from faults.kills import LONG, SHARED, kill, kill_pair
from faults.project import EPOCHS, WORK, Fault, Project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(autouse=True)
def nothing_is_left_to_the_next_test(project):
    yield
    shutil.rmtree(project.root / WORK, ignore_errors=True)


def names(project: Project, stages: tuple[str, ...]) -> list[str]:
    return [name for name in project.stages if name.split("@")[0] in stages]


@pytest.mark.parametrize("stage", LONG)
def test_killed_at_any_moment(project, stage):
    name = names(project, (stage,))[-1]
    print(name, kill(project, name, 6, random.Random(stage)))


@pytest.mark.parametrize("stage", ["train_base", "distill", "control"])
def test_every_epoch_is_saved(project, stage):
    """What a kill may cost; of shards, test_shards.py says so."""
    (name,) = names(project, (stage,))
    assert project.whole[name].saves == EPOCHS


@pytest.mark.parametrize("stage", SHARED)
def test_one_of_two_processes_dies(project, stage):
    (name,) = names(project, (stage,))
    kill_pair(project, name, 1, random.Random(stage))
    project.check_finished(name, project.run(name))


@pytest.mark.parametrize("stage", ["train_base", "distill", "control"])
def test_a_loader_dies(project, stage):
    (name,) = names(project, (stage,))
    saves = [at for at, (event, _) in enumerate(project.whole[name].events) if event == "os.rename"]
    run = project.run(name, Fault(kill_at=saves[1], loader=True), keep=True)
    project.check_refused(name, run, "a process that prepares training views has died", 1)
    assert run.last_line.endswith(" is saved; the next run continues from there")
    project.check_finished(name, project.run(name))


def written(project: Project, name: str) -> list[str]:
    """The files that a stage writes, of its unfinished work the last one."""
    files = list(dict.fromkeys(project.whole[name].files))
    work = [path for path in files if path.startswith(WORK)]
    return [*work[-1:], *(path for path in files if path not in work)]


def test_a_full_disk(project):
    """At every file that any stage writes: at its first byte, its middle or its last, by turns."""
    every = [(name, path) for name in project.stages for path in written(project, name)]
    for number, (name, path) in enumerate(every):
        saved, events = 0, project.whole[name].events
        if path.startswith(WORK):
            last = max(at for at, e in enumerate(events) if e == ("writes", path))
            project.run(name, Fault(kill_at=last), keep=True)
            saved, rooms = project.saved(), (0, 100, 100)
        else:
            size = (project.root / path).stat().st_size
            rooms = (0, size // 2, size - 1)
        run = project.run(name, Fault(full=path, room=rooms[number % 3]), keep=True)
        project.check_refused(name, run, f"File too large: '{path}'", saved)
        if path == written(project, name)[-1]:
            project.check_finished(name, project.run(name))


def test_read_only_folders(project):
    for name in project.stages:
        folders = {
            WORK if path.startswith(WORK) else str(Path(path).parent)
            for path in project.whole[name].files
        }
        for folder in sorted(folders):
            mode = (project.root / folder).stat().st_mode
            (project.root / folder).chmod(0o555)
            run = project.run(name, Fault(powerless=True), keep=True)
            (project.root / folder).chmod(mode)
            project.check_refused(name, run, f"Permission denied: '{folder}/", 0)
        project.check_finished(name, project.run(name))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("cannot mount a small disk; test_a_full_disk limits the same files' sizes")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_small_disk(project, small_disk, monkeypatch):
    """With no room, or with some of what a stage needs; then read-only."""
    monkeypatch.setattr(project, "root", shutil.copytree(project.root, small_disk / "checkout"))
    chance = random.Random(0)
    for name in project.stages:
        need = sum((project.root / path).stat().st_size for path in project.contents[name])
        for room in (0, chance.randrange(need), 2 * chance.randrange(need)):
            filler = small_disk / "filler"
            filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - room))
            run = project.run(name, keep=True)
            filler.unlink()
            if run.code or not room:
                project.check_refused(name, run, "No space left on device: '", 0)
        project.check_finished(name, project.run(name))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for name in project.stages:
        run = project.run(name, keep=True)
        project.check_refused(name, run, "Read-only file system: '", 0)

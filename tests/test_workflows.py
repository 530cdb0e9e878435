"""The container and the workflow call what is in the Makefile, in versions that are pinned."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONTAINER = ROOT / ".devcontainer/devcontainer.json"
WORKFLOW = ROOT / ".github/workflows/ci.yml"
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))


def steps() -> list[dict]:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def made(command: str) -> list[str]:
    return re.findall(r"make ([\w-]+)", command)


def test_the_workflow_runs_the_two_commands():
    targets = [target for step in steps() for target in made(step.get("run", ""))]
    assert {"test", "demo"} <= set(targets) <= TARGETS


def test_the_container_makes_the_environment():
    targets = made(json.loads(CONTAINER.read_text())["postCreateCommand"])
    assert targets == ["install"]
    assert set(targets) <= TARGETS


def test_actions_and_images_are_pinned():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert not [name for name in used if not re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", name)]
    assert not re.search(r"runs-on: .*latest", WORKFLOW.read_text())
    image = json.loads(CONTAINER.read_text())["image"]
    assert re.fullmatch(r"[\w./]+:\d+-3\.\d+-\w+", image)


def test_they_have_the_python_that_the_project_asks_for():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    versions = {step["with"]["python-version"] for step in steps() if "setup-python" in str(step)}
    assert {f">={version}" for version in versions} == {asked}
    assert f"-{versions.pop()}-" in json.loads(CONTAINER.read_text())["image"]


@pytest.mark.parametrize("file", [CONTAINER, WORKFLOW], ids=lambda file: file.name)
def test_no_address_of_an_index(file):
    assert not re.search(r"https?:|index", file.read_text())

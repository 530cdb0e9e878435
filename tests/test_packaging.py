"""sdist and wheel: what is in them, and that the wheel works where only what it asks for is there.

The wheel is put into an empty environment, whose site-packages then gets links to just those files
of this environment that belong to the wheel's declared dependencies, and to theirs: installing
torch once more would take gigabytes and an index. What is imported, but not declared, is not found.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_predictor import BOXES, CROP, student
from tiny_project import ROOT
from typer.testing import CliRunner

from hpe_core.cli.app import app
from hpe_core.networks.checkpoints import save_network
from hpe_core.weights.catalogue import shipped

UV = Path(sys.executable).with_name("uv")
NETWORK, DETECTOR = Path("mine.onnx"), Path("data/detector/yolov5n-demo.onnx")
# Packages of the extras that some module of ours imports first.
EXTRAS = {
    "albumentations", "h5py", "jinja2", "lightning_fabric", "onnx", "pandas", "pyarrow",
    "safetensors", "torch", "tyro", "vl_convert",
}  # fmt: skip
ABSENT = (
    "albumentations", "dvc", "h5py", "lightning_fabric", "onnx", "onnxscript", "pandas", "pyarrow",
    "safetensors", "scipy", "tabulate", "torch", "torchvision", "tyro", "vl_convert",
)  # fmt: skip
# The modules behind `import hpe_core.predictor` and `hpe predict`.
PREDICTING = ("predictor", "cli.predict", "inference.predict_files", "runtime.network")
MAX_INSTALLED_MB = 420


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist of this checkout, and the wheel of that sdist."""
    out = tmp_path_factory.mktemp("dist")
    ran(UV, "build", "--quiet", "--out-dir", out, ROOT)
    return out


def ran(*words: object, **options: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def wheel_of(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def described(built: Path) -> Message:
    with zipfile.ZipFile(wheel_of(built)) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(wheel.read(name).decode())


def package_files() -> set[str]:
    """What of `hpe_core` git has, or would have."""
    words = ("ls-files", "--cached", "--others", "--exclude-standard", "hpe_core")
    return set(ran("git", *words, cwd=ROOT).split())


def shipped_from_elsewhere() -> set[str]:
    """The package's weights that lie in another folder of the repository."""
    detector = f"hpe_core/weights/{DETECTOR.name}"
    return {detector, f"{detector}.sha256"}


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(wheel_of(built)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert names == package_files() | shipped_from_elsewhere()
        assert {each.path.name for each in shipped()} <= {Path(name).name for name in names}
        assert {"hpe_core/inference/face.jpg", "hpe_core/py.typed"} <= names
        licence = next(name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert wheel_of(built).stat().st_size < 18_000_000


def test_the_sdist_holds_what_makes_the_wheel(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    about = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "pyproject.toml", "docs/package.md"}
    elsewhere = {str(DETECTOR), f"{DETECTOR}.sha256"}
    assert names - package_files() == {*about, *elsewhere, ".gitignore"}
    assert package_files() <= names
    assert sdist.stat().st_size < 18_000_000


def test_the_version_is_one_and_the_changelog_has_it(built):
    version = described(built)["Version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version), "semantic versioning"
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and newest[1] == version
    assert version in wheel_of(built).name


def test_the_page_of_the_package_index_leads_nowhere_else(built):
    """There, links and pictures relative to this repository would be broken."""
    page = described(built)
    assert page["Description-Content-Type"] == "text/markdown"
    text = page.get_payload()
    assert "HeadPose.load(" in text
    relative = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert relative == []


# ---- installed


def closure(requirements: list[str]) -> dict[str, metadata.Distribution]:
    """The distributions of this environment that these requirements ask for, and theirs."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(Requirement(text), "") for text in requirements]
    done = set()
    while waiting:
        needed, extra = waiting.pop()
        if needed.marker and not needed.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(needed.name)
        distribution = metadata.distribution(name)
        assert needed.specifier.contains(distribution.version, prereleases=True), needed
        found[name] = distribution
        for asked in {"", *needed.extras}:
            if (name, asked) not in done:
                done.add((name, asked))
                waiting += [(Requirement(t), asked) for t in distribution.requires or []]
    return found


def link_files(distribution: metadata.Distribution, packages: Path) -> None:
    """Sources with their bytecode, which would be compiled once more otherwise: 10 s of torch."""
    for file in distribution.files or []:
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        source, target = Path(distribution.locate_file(file)), packages / file
        link(source, target)
        if file.suffix == ".py":
            link(*(Path(cache_from_source(str(path))) for path in (source, target)))


def link(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


@pytest.fixture(scope="module")
def place(built, tmp_path_factory) -> Path:
    """An environment in `v`, and a photograph, far from the repository."""
    place = tmp_path_factory.mktemp("user")
    ran(UV, "venv", "--quiet", "--python", sys.executable, place / "v")
    python = place / "v" / "bin" / "python"
    ran(
        *(UV, "pip", "install", "--quiet", "--offline", "--no-deps"),
        *("--python", python, wheel_of(built)),
    )
    base = {"base": str(place / "v"), "platbase": str(place / "v")}
    packages = Path(sysconfig.get_path("purelib", vars=base))
    for distribution in closure(described(built).get_all("Requires-Dist") or []).values():
        link_files(distribution, packages)
    (place / "photo.jpg").symlink_to(ROOT / "hpe_core/inference/face.jpg")
    boxes = {**BOXES, "input_px": 320, "path": str(DETECTOR), "match_iou": 0.3, "unmatched": "drop"}
    crop = {**CROP, "margin": 0, "codec": "raw", "jpeg_quality": 95}
    rules = {"crop": crop, "boxes": boxes}
    trained = place / "n.safetensors"
    save_network(student(), trained, "resnet8", (16, 16), rules)
    done = CliRunner().invoke(app, ["export", str(trained), "--out", str(place / NETWORK)])
    assert done.exit_code == 0, done.output
    return place


def installed(place: Path, program: str, *words: object) -> str:
    """What a program of the environment says, started in `place` with nothing of ours set."""
    bare = {"PATH": os.defpath, "HOME": str(place), "OMP_NUM_THREADS": "1"}
    return ran(place / "v/bin" / program, *words, cwd=place, env=bare)


def test_what_the_extras_bring_is_not_there(place):
    code = f"from importlib.util import find_spec; print([n for n in {ABSENT} if find_spec(n)])"
    assert installed(place, "python", "-c", code) == "[]\n"
    code = "import hpe_core; print(hpe_core.__file__)"
    assert installed(place, "python", "-c", code).startswith(str(place))


def test_every_module_can_be_imported_but_those_that_need_an_extra(place):
    sources = [Path(name) for name in package_files() if name.endswith(".py")]
    modules = [".".join(path.with_suffix("").parts) for path in sources if path.stem[:2] != "__"]
    code = f"""
import json
from importlib import import_module
missing = {{}}
for name in {modules}:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        missing[name] = error.name
print(json.dumps(missing))"""
    missing = json.loads(installed(place, "python", "-c", code))
    assert set(missing.values()) == EXTRAS
    assert not {f"hpe_core.{name}" for name in PREDICTING} & set(missing)
    assert not [name for name in missing if name.split(".")[1] in ("cli", "faces.detector")]


def test_it_is_small(place):
    packages = Path(installed(place, "python", "-c", "import cv2; print(cv2.__path__[0])")).parent
    files = [path for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < MAX_INSTALLED_MB * 1e6


def test_the_command(place):
    commands = installed(place, "hpe", "--help")
    for command in ("predict", "convert", "data", "doctor", "evaluate", "export", "weights"):
        assert f"\n  {command} " in commands
        assert "Usage: " in installed(place, "hpe", command, "--help")
    version = metadata.version("hpe-offset-ensemble")
    assert installed(place, "hpe", "--version") == f"hpe {version}\n"
    doctor = installed(place, "hpe", "doctor")
    assert "\nskipped " in doctor and "off the rendered pose" in doctor
    for network in ([], ["--network", "drawn-resnet8"], ["--network", NETWORK]):
        row = installed(place, "hpe", "predict", "photo.jpg", *network).splitlines()[1]
        assert row.startswith("photo.jpg,1,"), network
    listed = json.loads(installed(place, "hpe", "weights", "--json"))
    assert [each["name"] for each in listed] == [each.name for each in shipped()]
    for each in listed:
        assert Path(each["file"]).parent == Path(each["card"]).parent, "in the package"
        assert Path(each["card"]).is_relative_to(place)


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["convert", "--from", "pyr", "--to", "matrix", "0", "0", "0"], "pandas"),
        (["evaluate", str(NETWORK), "--corpus", "."], "pandas"),
        (["data", "--params", str(ROOT / "params.yaml")], "pandas"),
        (["export", "n.safetensors", "--out", "n.onnx"], "torch, onnx, onnxscript"),
        (["predict", "photo.jpg", "--network", "n.safetensors"], "torch"),
        (["predict", "photo.jpg", "--network", str(NETWORK), "--out", "t.parquet"], "pandas"),
    ],
)
def test_what_needs_an_extra_says_so(place, words, missing):
    bare = {"PATH": os.defpath, "HOME": str(place)}
    done = subprocess.run(
        [place / "v/bin/hpe", *words], cwd=place, env=bare, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert f"needs {missing}" in line
    assert "pipeline" in line, "the extra that has it"


def three_lines(page: str) -> str:
    (lines,) = re.findall(r"```python\n(from hpe_core.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return lines


def test_the_three_lines(place):
    assert three_lines("docs/package.md") == three_lines("README.md")
    said = installed(place, "python", "-c", three_lines("README.md"))
    assert said.startswith("[") and len(said.split()) > 8, said

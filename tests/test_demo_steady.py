"""The demo corpora, and the face tables made from them, are the same on every processor."""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy._core import _multiarray_umath as numpy_core

from data.demo import steady
from hpe_core.common.geometry import rotation_from_pyr
from tests.graph import ROOT

TINY = {
    "seed": 7,
    "300W_LP": {"photos": 4, "views": 2, "size_px": 300},
    "AFLW": {"images": 20, "test_images": 5},
    "AFLW2000": {"size_px": 300},
    "BIWI": {"frames": 2},
}
RENDER = """
import sys
from pathlib import Path
from data.demo import render_300w_lp, render_aflw, render_aflw2000, render_biwi
from hpe_core.corpora.readers import read_corpus

root = Path(sys.argv[1])
for module in (render_300w_lp, render_aflw, render_aflw2000, render_biwi):
    out, planted = root / module.CORPUS, root / f"{module.CORPUS}.csv"
    module.main(params=root / "params.yaml", out=out, planted=planted, workers=1)
    read_corpus(module.CORPUS, out, module.CORPUS).faces.to_csv(f"{out}-index.csv")
"""
# Every library's oldest code: what it would run on a processor of 2008.
OLDEST = {
    "NPY_DISABLE_CPU_FEATURES": " ".join(
        name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name]
    ),
    "OPENCV_CPU_DISABLE": "SSE4.1,SSE4.2,AVX,FP16,AVX2,AVX512-SKX",
    "OPENCV_IPP": "disabled",
    "OPENBLAS_CORETYPE": "Prescott",
    "JSIMD_FORCENONE": "1",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX,-BMI2,-SSE4_1,-SSE4_2",
}
BETWEEN = {"OPENCV_CPU_DISABLE": "AVX512-SKX", "OPENCV_IPP": "sse42"}
BETWEEN |= {"OPENBLAS_CORETYPE": "Nehalem", "OMP_NUM_THREADS": "2"}


def rendered(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """Renders all corpora in another process. Returns the sha256 of every file."""
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(TINY))
    command = [sys.executable, "-c", RENDER, str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> dict[str, str]:
    return rendered(tmp_path_factory.mktemp("here") / "corpora", {})


@pytest.mark.parametrize(
    "settings",
    [pytest.param(OLDEST, id="an old processor"), pytest.param(BETWEEN, id="one in between")],
)
def test_same_bytes_on_another_processor(here, tmp_path, settings):
    there = rendered(tmp_path / "corpora", settings)
    assert len(here) > 150
    assert [name for name in here | there if here.get(name) != there.get(name)] == []


# In NumPy these are library code chosen by the processor, or sums in an order of its choice.
UNSTEADY = {"exp", "log", "sin", "cos", "tan", "arctan2", "power", "interp", "dot", "matmul"}
UNSTEADY |= {"einsum", "inner", "tensordot", "linalg", "float_power", "cbrt", "hypot", "tanh"}
# Sums of integers, and writers of files.
STEADY_CV2 = {"LUT", "add", "subtract", "multiply", "merge", "split", "remap", "resize"}
STEADY_CV2 |= {"GaussianBlur", "ellipse", "polylines", "fillConvexPoly", "fillPoly", "imencode"}
STEADY_CV2 |= {"setNumThreads"}


def unsteady(code: str) -> list[str]:
    """Operations in a module whose last bits, or whose integers, may depend on the processor."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            found.append(f"{node.lineno}: @")
        square = isinstance(node, ast.BinOp) and ast.unparse(node.right) in ("2", "-24", "31")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not square:
            found.append(f"{node.lineno}: **")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = node.value.id, node.attr
            if (module == "np" and name in UNSTEADY) or (
                module == "cv2" and name not in STEADY_CV2 and not name.isupper()
            ):
                found.append(f"{node.lineno}: {module}.{name}")
    return found


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem)
        for path in sorted((ROOT / "data/demo").glob("*.py"))
        if path.name not in ("steady.py", "contact_sheet.py")
    ],
)
def test_only_steady_arithmetic(path):
    """What no setting shows on this machine: code for processors that it does not have."""
    assert unsteady(path.read_text(encoding="utf-8")) == []


def test_unsteady_arithmetic_is_found():
    code = "a @ b; np.sin(a); a**0.7; a**2; cv2.warpAffine(a); cv2.INTER_AREA; np.sqrt(a)"
    assert unsteady(code.replace("; ", "\n")) == ["1: @", "3: **", "2: np.sin", "5: cv2.warpAffine"]


def test_functions_against_numpy():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 30, 1000)
    assert steady.decay(x) == pytest.approx(np.exp(-x), abs=1e-5)
    assert steady.decay(1e6) < 1e-9
    assert steady.root34(x) == pytest.approx(x**0.75)
    knots, values = np.sort(rng.uniform(5, 25, 9)), rng.normal(size=9)
    assert steady.interpolate(x, knots, values) == pytest.approx(np.interp(x, knots, values))
    assert steady.sin(x) == pytest.approx(np.sin(x), abs=steady.STEP)
    assert steady.cos(x) == pytest.approx(np.cos(x), abs=steady.STEP)


def test_turn_and_rotation():
    pyr_deg = (20.0, -50.0, 130.0)
    points = np.random.default_rng(1).normal(size=(4, 5, 3))
    expected = points @ rotation_from_pyr(pyr_deg).T
    turned = steady.turn(points, steady.rotation(pyr_deg))
    assert turned == pytest.approx(expected, abs=1e-6)


def test_draws_are_numpys_rounded():
    mine, numpys = steady.draws(3, 1), np.random.default_rng([3, 1])
    for name, arguments in (("normal", (2, 3, 50)), ("uniform", (-1, 4, 50)), ("random", (5,))):
        found, expected = (getattr(rng, name)(*arguments) for rng in (mine, numpys))
        assert found == pytest.approx(expected, abs=steady.STEP)
        assert name == "random" or (found / steady.STEP == np.rint(found / steady.STEP)).all()

"""The sdist built from the checkout, and the wheel built from the sdist, hold every file of every package."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from world import REPO_ROOT

FOLDERS = {"jobs": "jobs", "callbacks": "callbacks", "data_prep": "data_prep", "slurm/dev_cluster": "dev_cluster"}
"""The folder of each package in the checkout → the name under which it is imported."""
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"


def build(kind: str, source: Path, output: Path, environment: dict[str, str]) -> Path:
    output.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD.format(kind=kind), str(output)]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = output.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> zipfile.ZipFile:
    """The wheel, built from the sdist as for a release."""
    folder = tmp_path_factory.mktemp("package")
    for name in FOLDERS:
        shutil.copytree(REPO_ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "regrow.py"):
        shutil.copy(REPO_ROOT / name, folder / "source")
    sdist = build("sdist", folder / "source", folder / "sdist", clean_environment)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    return zipfile.ZipFile(build("wheel", unpacked, folder / "wheel", clean_environment))


def test_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"{package}/{path.relative_to(REPO_ROOT / folder)}"
        for folder, package in FOLDERS.items()
        for path in (REPO_ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected | {"regrow.py"}
    assert held >= {f"{package}/py.typed" for package in FOLDERS.values()}


def test_wheel_starts_regrow_and_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "regrow = regrow:main" in wheel.read(entry_points).decode()
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())

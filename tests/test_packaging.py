"""The wheel holds the package `raydistill` and nothing else, and says truly what it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
DECLARED: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as it looks after some work: with results, data and caches in it."""
    folder = tmp_path_factory.mktemp("checkout with spaces") / "raydistill"
    for name in ("raydistill", "sweeps", "analysis", "tests", "examples", "benchmarks"):
        # Caches come and go while other tests run; one is put in below.
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    for stray in (
        "raydistill/__pycache__/record.cpython-311.pyc",
        "raydistill/data/train-images-idx3-ubyte.gz",
        "raydistill/data/speech.wav",
        "results/store/index.json",
        "results/code.py",
        "scratch.py",
    ):
        path = folder / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel of that copy."""
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=sources, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.iterdir()
    return ZipFile(path)


def distribution_info(wheel: ZipFile) -> str:
    """The folder that describes the wheel."""
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    return folder


def metadata_of(wheel: ZipFile) -> Message:
    """Its description: names like `Requires-Dist` and their values."""
    return Parser().parsestr(wheel.read(f"{distribution_info(wheel)}/METADATA").decode())


def test_the_wheel_installs_one_name(wheel: ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert top == {"raydistill", distribution_info(wheel)}


def test_the_wheel_holds_every_module_and_no_other_file(wheel: ZipFile, sources: Path) -> None:
    modules = {str(path.relative_to(sources)) for path in sources.glob("raydistill/**/*.py")}
    installed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert installed == modules | {"raydistill/py.typed"}
    assert len(modules) > 100


def test_the_wheel_says_its_licence_and_its_pythons(wheel: ZipFile) -> None:
    metadata = metadata_of(wheel)
    assert metadata["License-Expression"] == "MIT"
    licence = wheel.read(f"{distribution_info(wheel)}/licenses/LICENSE")
    assert licence == (ROOT / "LICENSE").read_bytes()
    pythons = SpecifierSet(metadata["Requires-Python"])
    fitting = [f"3.{minor}" for minor in range(30) if pythons.contains(f"3.{minor}.5")]
    assert fitting == ["3.11", "3.12", "3.13"]
    classified = [
        line.rsplit(" ", 1)[1]
        for line in metadata.get_all("Classifier", [])
        if line.startswith("Programming Language :: Python :: 3.")
    ]
    assert classified == fitting


def test_the_wheel_depends_on_published_releases_alone(wheel: ZipFile) -> None:
    requirements = [Requirement(line) for line in metadata_of(wheel).get_all("Requires-Dist", [])]
    assert {"torch", "ray", "pyworld-prebuilt"} <= {each.name for each in requirements}
    assert not [each for each in requirements if each.url]


def test_nothing_in_the_wheel_names_the_folder_that_it_was_built_in(
    wheel: ZipFile, sources: Path
) -> None:
    for name in wheel.namelist():
        content = wheel.read(name)
        assert str(sources).encode() not in content, name
        assert str(ROOT).encode() not in content, name


def test_what_extras_need_is_in_the_development_environment() -> None:
    extras = DECLARED["project"]["optional-dependencies"]
    for name in ("onnx", "mlflow", "wandb"):
        assert set(extras[name]) <= set(DECLARED["dependency-groups"]["dev"])


def test_constraints_pin_all_that_is_asked_for_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines == sorted(lines, key=str.lower)
    pins = {
        canonicalize_name(name): Version(version)
        for name, version in (line.split("==") for line in lines)
    }
    assert len(pins) == len(lines)
    asked = [
        *DECLARED["project"]["dependencies"],
        *(one for extra in DECLARED["project"]["optional-dependencies"].values() for one in extra),
        *DECLARED["dependency-groups"]["dev"],
    ]
    for requirement in map(Requirement, asked):
        pinned = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), f"{requirement} against {pinned}"


def test_the_pins_admit_each_other() -> None:
    """Else nobody can install them: pip and uv refuse, and only on a fresh machine."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    refused = []
    for package in metadata.distributions():
        if canonicalize_name(package.metadata["Name"]) not in pinned:
            continue
        for text in package.requires or ():
            wanted = Requirement(text)
            version = pinned.get(canonicalize_name(wanted.name))
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            if version and applies and not wanted.specifier.contains(version, prereleases=True):
                refused.append(f"{package.metadata['Name']} wants {text}, pinned is {version}")
    assert refused == []

"""Python and the packages: versions, where from, and whether they can be imported."""

from __future__ import annotations

import importlib
import platform
import sys
from importlib import metadata
from pathlib import Path

import raydistill
from raydistill.commands.checks.findings import Problem, Section
from raydistill.commands.checks.isolated import Probe, ProbeError

SHOWN = ("torch", "torchaudio", "ray", "optuna", "numba", "numpy")
OPTIONAL = ("onnx", "onnxruntime", "onnxscript")
"""What `raydistill export --format onnx` needs, and what runs its files."""

IMPORTED = (
    "numpy", "scipy", "torch", "torchaudio", "numba", "ray", "optuna", "pyarrow", "pandas",
    "sklearn", "mlxtend", "skimage", "safetensors", "filelock", "obstore", "tensorboard",
    "matplotlib", "PIL", "soundfile", "pyworld",
)  # fmt: skip
"""Modules that a sweep of some task imports."""


def start_probe() -> Probe:
    """Begin to import all of `IMPORTED` elsewhere."""
    return Probe(f"{__name__}:failed_imports", names=IMPORTED)


def failed_imports(names: list[str]) -> dict[str, str]:
    """The modules that cannot be imported, and why."""
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  (a broken package can raise anything)
            lines = str(error).strip().splitlines()
            failed[name] = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return failed


def check_packages(probe: Probe) -> Section:
    """Versions, requirements that are not met, imports that fail."""
    facts = {
        "python": f"{platform.python_version()}, {sys.executable}",
        "system": f"{platform.platform()}, {platform.machine()}",
        "raydistill": f"{raydistill.__version__}, {Path(raydistill.__file__).parent}",
    }
    facts |= {name: version_of(name) or "not installed" for name in SHOWN}
    facts |= {f"{name} (optional)": version_of(name) or "not installed" for name in OPTIONAL}
    problems = [*_unmet_requirements()]
    missing = [name for name in OPTIONAL if version_of(name) is None]
    if missing:
        problems.append(
            Problem(
                f"optional packages: {', '.join(missing)} not installed, which ONNX needs",
                "pip install 'raydistill[onnx]'",
            )
        )
    try:
        failed = probe.result()
    except ProbeError as error:
        failed = {"packages": str(error)}
    problems += [
        Problem(
            f"import of {name}: {reason}",
            "install the package again in this environment (pip install --force-reinstall)",
            essential=True,
        )
        for name, reason in failed.items()
    ]
    return Section("python and packages", facts, tuple(problems))


def version_of(package: str) -> str | None:
    """The version that is installed; None if there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _unmet_requirements() -> list[Problem]:
    """Requirements of the installed raydistill that this environment does not meet."""
    try:
        own = metadata.metadata("raydistill")
        from packaging.requirements import Requirement
        from packaging.specifiers import SpecifierSet
    except (metadata.PackageNotFoundError, ImportError):
        return []  # run from a checkout that is not installed: imports are tried all the same
    problems = []
    python = ", ".join(own.get_all("Requires-Python") or ())
    if platform.python_version() not in SpecifierSet(python):
        problems.append(
            Problem(
                f"python: {platform.python_version()} is not among those supported ({python})",
                "make the environment with one of those",
            )
        )
    for text in own.get_all("Requires-Dist") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = version_of(requirement.name)
        wanted = f"{requirement.name}{requirement.specifier}"
        if found is None:
            what, essential = f"{requirement.name}: not installed", True
        elif not requirement.specifier.contains(found, prereleases=True):
            what, essential = f"{requirement.name}: {found} is not what is asked for", False
        else:
            continue
        problems.append(Problem(what, f"pip install '{wanted}'", essential))
    return problems

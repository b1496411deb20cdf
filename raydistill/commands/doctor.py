"""`raydistill doctor`: what this machine has, and what would go wrong on it."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

import raydistill
from raydistill.commands.checks.findings import Problem, Section
from raydistill.console import ExitStatus

UNFIT = 1
"""Exit status where something essential fails."""

NAME_WIDTH = 29
"""Columns of the names of facts; the longest is that of Ray's temporary folder."""


@dataclass(frozen=True)
class DoctorSettings:
    """Say what this machine has and what would go wrong; status 1 if the main job would not run.

    Attributes:
        storage_path: folder or URI that sweeps are to be run with.
        data_root: folder in which torchvision or torchaudio has left data sets; repeatable.
        debian_root: where Debian's packages put data, for packages that were unpacked elsewhere.
        json: print JSON for programs instead of text.
    """

    storage_path: str = "results"
    data_root: Annotated[
        tuple[Path, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="FOLDER")
    ] = ()
    debian_root: Path = Path("/usr/share")
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def doctor(settings: DoctorSettings) -> int:
    """Print facts by subject, then the problems with their remedies."""
    sections = []
    for section in examine(settings):
        sections.append(section)
        if not settings.json:
            _print_facts(section)
    problems = [problem for section in sections for problem in section.problems]
    fit = not any(problem.essential for problem in problems)
    if settings.json:
        print(json.dumps(_tree(sections, fit), indent=1))
    else:
        _print_problems(problems)
    return ExitStatus.OK if fit else UNFIT


def examine(settings: DoctorSettings) -> Iterator[Section]:
    """One section after the other; a check that itself fails is a problem like any other."""
    from raydistill.commands.checks import compilers, data_sets, packages, processors
    from raydistill.commands.checks.folders import check_folders
    from raydistill.commands.checks.memory import check_memory
    from raydistill.commands.checks.ray_start import check_ray, ray_folder
    from raydistill.commands.checks.terminal import check_terminal

    path = settings.storage_path
    roots = (Path("data"), *settings.data_root)
    with contextlib.ExitStack() as stack:
        # They import torch, Ray and numba, each in a process of its own: at once, to save time.
        probes = [
            packages.start_probe(),
            processors.start_probe(),
            data_sets.start_probe(roots, settings.debian_root),
            compilers.start_probe(),
        ]
        for probe in probes:
            stack.callback(probe.end)
        imports, torch, data, loop = probes
        yield _guarded("python and packages", lambda: packages.check_packages(imports))
        yield _guarded("processors", lambda: processors.check_processors(torch))
        yield _guarded("memory and disk", lambda: check_memory(path, ray_folder()))
        yield _guarded("folders", lambda: check_folders(path))
        yield _guarded("Ray", check_ray)
        yield _guarded("compilers", lambda: compilers.check_compilers(loop))
        yield _guarded("data sets", lambda: data_sets.check_data_sets(data))
        yield _guarded("terminal", check_terminal)


def _guarded(title: str, check: Callable[[], Section]) -> Section:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  (a broken machine must not break its examination)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        what = f"{title}: cannot be looked at ({type(error).__name__}: {error}, {place})"
        return Section(title, {}, (Problem(what, "report this as a fault of raydistill"),))


def _print_facts(section: Section) -> None:
    print(section.title)
    for name, value in section.facts.items():
        print(f"  {name:<{NAME_WIDTH}}  {value}")
    print()


def _print_problems(problems: list[Problem]) -> None:
    essential = [problem for problem in problems if problem.essential]
    print("what would go wrong")
    for problem in (*essential, *(problem for problem in problems if not problem.essential)):
        print(f"  {'ESSENTIAL ' if problem.essential else ''}{problem.what}")
        print(f"    -> {problem.remedy}")
    if essential:
        number = f"{len(essential)} essential problem{'s' * (len(essential) > 1)}"
        print(f"the main job would not run: {number}, see above")
    else:
        print("  nothing essential: the main job would run")


def _tree(sections: list[Section], fit: bool) -> dict[str, object]:
    return {
        "version": raydistill.__version__,
        "fit": fit,
        "sections": {section.title: section.facts for section in sections},
        "problems": [
            {"section": section.title} | asdict(problem)
            for section in sections
            for problem in section.problems
        ],
    }

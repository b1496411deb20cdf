"""The plan of the house: short files, few loose modules, documents that name files that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RAY_TESTS, RAYLESS_TESTS

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("raydistill", "analysis", "sweeps", "tests", "benchmarks", "examples")
LOOSE = {"__init__", "__main__", "cli", "console", "record", "seeding"}
LONGEST = 350
NAMED = re.compile(rf"(?:{'|'.join(ROOMS)}|docs)/[\w/-]+\.(?:py|md)\b")


def sources() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def test_a_file_fits_into_a_few_screens() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert len(lengths) > 200
    assert {str(path): n for path, n in lengths.items() if n > LONGEST} == {}


def test_what_lies_loose_in_the_package_is_what_the_plan_says() -> None:
    assert {path.stem for path in (ROOT / "raydistill").glob("*.py")} <= LOOSE


@pytest.mark.parametrize("room", ["teachers", "students", "conditionals", "objectives"])
def test_a_researcher_who_reads_models_meets_no_machine_code(room: str) -> None:
    for path in (ROOT / "raydistill" / room).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(?:import|from) (?:numba|llvmlite)", text, re.M), path


@pytest.mark.parametrize(
    "path",
    [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sources()],
    ids=lambda p: p.name,
)
def test_files_that_are_named_exist(path: Path) -> None:
    named = set(NAMED.findall(path.read_text(encoding="utf-8")))
    # Of longer paths the end looks the same: those of an installed machine are not ours.
    text = path.read_text(encoding="utf-8")
    absent = [n for n in named if not (ROOT / n).exists() and not re.search(rf"[\w/]{n}", text)]
    assert absent == []


def test_what_starts_ray_is_where_one_process_runs_it() -> None:
    marked = [path for path in sources() if "mark.ray" in path.read_text(encoding="utf-8")]
    assert marked
    for path in marked:
        name = path.relative_to(ROOT).as_posix()
        own = name.startswith(RAY_TESTS) and not name.startswith(RAYLESS_TESTS)
        assert own or path == Path(__file__)

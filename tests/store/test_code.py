"""What a hash of code sees: all that computes, wherever it stands, and nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from raydistill import seeding
from raydistill.store.code import _imports_of, _meaning_of, _path_of, code_version, module_of
from raydistill.teachers.gaussian import GaussianTeacherConfig
from raydistill.teachers.pixelcnn import PixelCNNConfig
from raydistill.teachers.samplernn import SampleRNNConfig

CODE = '''
"""A module."""
import math

RATE = 2  # a comment
"""What it is."""


def double(x):
    """Twice x."""
    return RATE * x
'''


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Modules are read once a process; here files change."""
    for kept in (_imports_of, _meaning_of, _path_of):
        kept.cache_clear()
    yield
    for kept in (_imports_of, _meaning_of, _path_of):
        kept.cache_clear()


def module(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_comments_docstrings_imports_layout_and_names_of_modules_mean_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = module(tmp_path, "meant_one", CODE, monkeypatch)
    bare = "RATE = 2\ndef double(x): return (RATE*x)\n"
    second = module(tmp_path, "meant_two", bare, monkeypatch)
    assert code_version(first) == code_version(second)


@pytest.mark.parametrize(
    ("old", "new"), [("RATE = 2", "RATE = 3"), ("RATE * x", "x * RATE"), ("double(x)", "twice(x)")]
)
def test_whatever_computes_counts(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = module(tmp_path, "meant_one", CODE, monkeypatch)
    second = module(tmp_path, "meant_two", CODE.replace(old, new), monkeypatch)
    assert code_version(first) != code_version(second)


def test_what_is_imported_counts_however_deep_unless_it_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "meant_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text("A = 1\n")
    (package / "middle.py").write_text(
        "import importlib\n\n\ndef load():\n"
        "    return importlib.import_module('meant_package.deep')\n"
    )
    (package / "top.py").write_text("def go():\n    from meant_package import middle\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    top = importlib.import_module("meant_package.top")
    before, without = code_version(top), code_version(top, without=("meant_package.deep",))
    assert before != without
    (package / "deep.py").write_text("A = 2\n")
    _meaning_of.cache_clear()
    assert code_version(top) != before
    assert code_version(top, without=("meant_package.deep",)) == without


def test_a_cycle_of_imports_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meant_b.py").write_text("def g():\n    import meant_a\n")
    first = module(tmp_path, "meant_a", "def f():\n    import meant_b\n", monkeypatch)
    assert len(code_version(first)) == 16


def test_what_only_a_type_checker_reads_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = module(tmp_path, "meant_one", CODE, monkeypatch)
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere\n" + CODE
    second = module(tmp_path, "meant_two", typed, monkeypatch)
    assert code_version(first) == code_version(second)


def test_a_module_without_a_source_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"loose: .* has no source file"):
        code_version(ModuleType("loose"))


def test_more_modules_are_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = module(tmp_path, "meant_one", CODE, monkeypatch)
    assert code_version(seeding, first) != code_version(seeding)


def followed(start: ModuleType, without: tuple[str, ...] = ()) -> set[str]:
    names: set[str] = set()
    waiting = [start.__name__]
    while waiting:
        name = waiting.pop()
        if name not in names and not name.startswith(without or ("?",)):
            names.add(name)
            waiting += _imports_of(name)
    return names


def test_a_teacher_depends_on_its_conditionals_networks_and_kernels_but_not_on_tasks() -> None:
    for config, needed in (
        (
            PixelCNNConfig(),
            {
                "raydistill.conditionals.logistic",
                "raydistill.networks.pixelcnn.layers",
                "raydistill.kernels.winograd.loops",
                "raydistill.kernels.activations.fused",
                "raydistill.kernels.vectors",
                "raydistill.kernels.pixelcnn.kernel",
                "raydistill.networks.pixelcnn.compiled_decoding",
            },
        ),
        (
            SampleRNNConfig(),
            {"raydistill.conditionals.gaussian", "raydistill.kernels.samplernn.decode"},
        ),
        (GaussianTeacherConfig(), {"raydistill.theory.gaussians"}),
    ):
        names = followed(module_of(config))
        assert needed <= names
        floors = ("tasks", "trials", "cluster", "students")
        upper = tuple(f"raydistill.{floor}" for floor in floors)
        assert not [name for name in names if name.startswith(upper)]


def test_decoding_alone_is_left_out_of_a_teachers_weights() -> None:
    for config in (PixelCNNConfig(), SampleRNNConfig()):
        model = module_of(config)
        names = followed(model, config.decoding_only)
        assert not [name for name in names if "decode" in name or "decoding" in name]
        assert code_version(model) != code_version(model, without=config.decoding_only)

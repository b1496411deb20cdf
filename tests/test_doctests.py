"""The examples in docstrings run; those of the models do as they stand, copied to a prompt."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
import torch

import raydistill

ROOT = Path(raydistill.__file__).parent
SELF_CONTAINED = {"conditionals", "students", "teachers", "objectives", "theory", "networks"}
"""Packages whose examples import all that they use; others may use their module's names."""


def _modules_with_examples() -> list[str]:
    """Modules of raydistill whose text holds a prompt, without importing any."""
    paths = (path for path in ROOT.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))
    return sorted(
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
    )


@pytest.mark.parametrize("name", _modules_with_examples())
def test_the_examples_of_a_module_run(name: str) -> None:
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    room = name.removeprefix("raydistill").strip(".").split(".")[0]
    names = {} if room in SELF_CONTAINED else vars(module)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs=names):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            runner.run(example, out=report.append)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(report)

"""The floors of the house: nothing below `raydistill.cluster` knows Ray, records need no torch."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import raydistill

WALK = """
import importlib, json, pkgutil, sys
import raydistill

names = [
    module.name
    for module in pkgutil.walk_packages(
        raydistill.__path__, "raydistill.", onerror=lambda name: None
    )
    if not module.name.startswith("raydistill.cluster")
]
for name in names:
    importlib.import_module(name)
loaded = sorted(name for name in sys.modules if name.split(".")[0] == "ray")
print(json.dumps([names, loaded]))
"""

LIGHT = """
import sys
import raydistill.record, raydistill.store.storage, raydistill.config.base
print(sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "ray")))
"""


def said(code: str) -> str:
    """What a fresh interpreter prints."""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def test_nothing_below_the_cluster_imports_ray() -> None:
    # Walking imports the packages themselves, `raydistill.cluster` too: it must be empty of Ray.
    names, loaded = json.loads(said(WALK))
    assert loaded == []
    assert {
        "raydistill.trials.run",
        "raydistill.training.loop",
        "raydistill.tasks.image.task",
        "raydistill.networks.pixelcnn.cache",
        "raydistill.metrics.images",
    } <= set(names)


def test_records_and_storage_need_no_torch() -> None:
    assert said(LIGHT) == "[]"


FRONT_DOOR = """
import sys
import raydistill as rd
names = dir(rd)
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "ray", "numba", "pydantic"}))
print(sorted(set(rd.__all__) - set(names)))
"""


def test_the_front_door_opens_when_it_is_used() -> None:
    assert said(FRONT_DOOR) == "[]\n[]"


def test_type_checkers_see_what_the_front_door_hands_out() -> None:
    assert raydistill.__file__ is not None
    tree = ast.parse(Path(raydistill.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.asname: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(map(str, typed)) == raydistill.__all__
    for name, module in typed.items():
        found = getattr(raydistill, str(name))
        assert found is getattr(importlib.import_module(str(module)), str(name))


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_studnet'"):
        raydistill.load_studnet  # noqa: B018

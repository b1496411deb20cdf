"""The Python of the README and of the page on models of one's own runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import raydistill as rd
from tests.helpers import merge

ROOT = Path(__file__).parents[2]


def python_below(page: str, heading: str) -> str:
    """The first Python block below a heading of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count(f"\n{heading}\n") == 1
    section = text.split(f"\n{heading}\n")[1].split("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def here(storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder whose `results` is the storage path that all tests share."""
    (tmp_path / "results").symlink_to(storage)
    monkeypatch.chdir(tmp_path)


def test_what_a_sweep_made_is_used_in_a_few_lines(noisy_values: dict[str, Any], here: None) -> None:
    code = python_below("README.md", "## Use what the sweep made")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 6  # the import and five
    config = rd.parse_trial(noisy_values)
    rd.distill(config, storage="results", name="NAME/trial_00003")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["images"].shape == (64, 1, 8, 8)
    assert 0.0 <= float(names["images"].min()) < float(names["images"].max()) <= 1.0
    assert names["copies"].shape == names["images"].shape
    assert float((names["copies"] - names["images"]).abs().mean()) < 0.4


def test_models_of_one_s_own_are_used_as_any_other(
    smoke_values: dict[str, Any], here: None
) -> None:
    code = python_below("docs/own_models.md", "## Using what was trained")
    kind = "examples.causal_transformer:CausalTransformerConfig"
    changes = {
        "student": {"kind": "tests.own_models:OwnStudentConfig", "gain": 1.5},
        "teacher": {
            "model": {"kind": kind, "width": 8, "heads": 2, "layers": 1},
            "budget": {"updates": 4, "evaluate_every": 4},
        },
        "evaluation": {"samples": 20, "draws": 2, "teacher_draws": 64, "norm_draws": 0},
    }
    rd.distill(rd.parse_trial(merge(smoke_values, changes)), name="NAME/trial_00003")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["images"].shape == names["copies"].shape == (16, 1, 8, 8)
    assert type(names["teacher"].module).__name__ == "CausalTransformerTeacher"
    assert type(names["student"].module).__name__ == "OwnStudent"

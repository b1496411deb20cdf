"""The card beside a student's weights: its Python runs, its shell lines are quoted."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
import torch

import raydistill as rd
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.card import CARD, model_card


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> rd.Distilled:
    """A noise-trained trial in a folder whose name a shell would split."""
    values = {
        "task": "gaussian",
        "dimension": 2,
        "replicas": 2,
        "budget": {"updates": 20},
        "objective": {"kind": "oracle", "noise_level": 0.75, "l1_weight": 0.5},
    }
    storage = tmp_path_factory.mktemp("cards") / "my $results"
    return rd.distill(rd.parse_trial(values), storage=storage, name="it's one")


def block(card: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", card, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_python_of_a_card_runs(trial: rd.Distilled) -> None:
    names: dict[str, Any] = {}
    exec(block(trial.folder.read(CARD).decode(), "python"), names)
    assert names["samples"].shape == (16, 2, 2)
    assert not torch.equal(names["samples"], names["at_matched_scale"])


def test_the_shell_lines_of_a_card_name_the_folder_whole(trial: rd.Distilled) -> None:
    lines = block(trial.folder.read(CARD).decode(), "sh").splitlines()
    assert [shlex.split(line)[:3] for line in lines] == [
        ["raydistill", "sample", trial.folder.uri],
        ["raydistill", "export", trial.folder.uri],
    ]


def test_a_card_says_what_the_student_is_and_was_measured_at(trial: rd.Distilled) -> None:
    card = trial.folder.read(CARD).decode()
    for text in ("oracle", "0.75", "0.5", "12 parameters", trial.record.teacher, "2 replicas"):
        assert f"{text}" in card, text
    assert "standard deviation 1.25, its *matched*" in card
    head = next(line for line in card.splitlines() if line.startswith("| metric"))
    assert head == "| metric | student | at matched scale | teacher |"
    for name, value in trial.record.metrics("test").items():
        (row,) = [line for line in card.splitlines() if line.startswith(f"| `{name}` |")]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1] == f"{value:.4g}"
        floor = trial.record.reference["teacher_test"].get(name)
        assert cells[3] == ("" if floor is None else f"{floor:.4g}")


def test_names_cannot_break_a_card(trial: rd.Distilled) -> None:
    config: TrialConfig = rd.parse_trial(trial.record.config)
    odd = replace(trial.record, trial="a`b\n# not a heading")
    card = model_card(odd, config, "results/a b", 12)
    assert [line for line in card.splitlines() if line.startswith("# ")] == [
        "# a'b # not a heading: a `linear` student"
    ]

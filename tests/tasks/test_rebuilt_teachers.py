"""A teacher deleted and trained again may have other weights: nothing made by the old is reused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import raydistill as rd
from raydistill.metrics.likelihood import logits_of
from raydistill.store.assets import Asset, Built, Store
from raydistill.store.storage import Storage
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.pairs import Shard
from raydistill.tasks.image.pairs import recipe_of as shard_recipe
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.image.teacher import teacher_recipe
from raydistill.tasks.vocoder import floors, pairs
from raydistill.tasks.vocoder.pairs import Part
from tests.trials.runs import results, run

CPU = torch.device("cpu")


def own_copy(store: Store, root: Path) -> Store:
    """The shared store's teachers and classifiers in another storage path."""
    source = store.storage.local_path
    assert source is not None
    shutil.copytree(source, root / "store", ignore=shutil.ignore_patterns("pairs"))
    return Store(Storage.open(root / "store"))


def rebuild(task: ImageTask, config: ImageTrial, store: Store) -> Asset:
    """Delete the teacher of a task, and build it again as another device would: rounded."""
    recipe = teacher_recipe(config.teacher, task.data)
    old = store.find("teachers", recipe)
    assert old is not None
    store.storage.child("teachers", old.key).delete()

    def build(work: Storage) -> Built:
        return Built({name: value * 1.001 for name, value in old.tensors.items()}, old.info)

    return store.get_or_build("teachers", recipe, build)


def test_pairs_are_of_the_weights_that_the_teacher_has(
    task: ImageTask, smoke: ImageTrial, store: Store, tmp_path: Path
) -> None:
    mine = own_copy(store, tmp_path)
    before = ImageTask(smoke, mine, CPU)
    old = before.data_pairs
    assert before.parts(smoke)  # samples to judge by
    for part in before.parts(smoke):
        before.build_part(part)
    assert not before.parts(smoke)
    rebuild(before, smoke, mine)
    after = ImageTask(smoke, mine, CPU)
    assert after.trained.key == before.trained.key
    assert after.teacher_key != before.teacher_key == task.teacher_key
    assert len(after.parts(smoke)) > 1
    new = after.data_pairs
    x = logits_of(after.data.train, after.data.levels, CPU, "pairs", 0)
    assert torch.equal(new.x, old.x)
    assert torch.equal(new.x, x)
    torch.testing.assert_close(after.teacher.encode(new.x[:9]).z, new.z[:9], rtol=1e-3, atol=1e-3)
    assert not torch.equal(new.z, old.z)


def test_a_trial_of_the_old_weights_is_none_of_the_new(
    smoke_values: dict[str, Any], smoke: ImageTrial, store: Store, tmp_path: Path
) -> None:
    mine, folder = own_copy(store, tmp_path), tmp_path / "sweep" / "trial_00000"
    first = run(smoke_values, folder, mine)
    assert run(smoke_values, folder, mine) == first  # finished: not trained again
    rebuild(ImageTask(smoke, mine, CPU), smoke, mine)
    # In another process, which has not kept the task.
    (tmp_path / "link").symlink_to(tmp_path / "store")
    elsewhere = Store(Storage(str(tmp_path / "link")))
    with pytest.raises(rd.LoadError, match=f"'{first.teacher}' names none in .*trained again"):
        rd.load_teacher(tmp_path, "sweep/trial_00000")
    second = run(smoke_values, folder, elsewhere)
    assert second.teacher != first.teacher
    assert results(second) != results(first)
    assert rd.load_teacher(tmp_path, "sweep/trial_00000").key == second.teacher
    assert rd.load_teacher(tmp_path, second.teacher[:9]).key == second.teacher


def test_all_that_a_teacher_makes_names_its_weights(task: ImageTask, smoke: ImageTrial) -> None:
    other = replace(task.trained, weights="0" * 64)
    assert shard_recipe(Shard("data", 0), other) != shard_recipe(Shard("data", 0), task.trained)
    part = Part("oracle", 0, 0, 1)
    assert pairs.recipe_of(part, other) != pairs.recipe_of(part, task.trained)
    evaluation = type("Evaluation", (), {"wanted": smoke.evaluation})()
    assert floors.recipe_of(evaluation, other) != floors.recipe_of(evaluation, task.trained)

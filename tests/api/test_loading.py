"""What is refused when a trial is loaded, and that weights are those after the last update."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor

import raydistill as rd
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.training.checkpoint import CHECKPOINT
from raydistill.training.job import Workers
from raydistill.trials.book import TrialRun
from raydistill.trials.run import run_trial
from raydistill.trials.weights import WEIGHTS
from tests.helpers import merge
from tests.trials.runs import DIVERGING, interrupt, run


def in_checkpoint(folder: Path) -> dict[str, Tensor]:
    """The student's weights among all that a checkpoint holds."""
    tensors = safetensors.torch.load_file(folder / CHECKPOINT)
    start = "module.student."
    return {name.removeprefix(start): v for name, v in tensors.items() if name.startswith(start)}


def assert_same_weights(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.fixture
def copy(images: rd.Distilled, tmp_path: Path) -> Path:
    """A copy of the finished image trial, to damage."""
    source = images.folder.local_path
    assert source is not None
    return Path(shutil.copytree(source, tmp_path / "copy"))


@pytest.mark.parametrize("made", ["images", "gaussians"])
def test_weights_are_those_of_the_last_update(made: str, request: pytest.FixtureRequest) -> None:
    distilled: rd.Distilled = request.getfixturevalue(made)
    folder = distilled.folder.local_path
    assert folder is not None
    expected = in_checkpoint(folder)
    assert expected
    assert_same_weights(safetensors.torch.load_file(folder / WEIGHTS), expected)
    assert_same_weights(distilled.student.module.state_dict(), expected)
    fresh = distilled.student.space.build_student(distilled.student.config).state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in expected.items())


def test_a_trial_of_an_older_version_is_read_from_its_checkpoint(
    copy: Path, images: rd.Distilled
) -> None:
    expected = rd.load_student(copy).module.state_dict()
    (copy / WEIGHTS).unlink()
    old = rd.load_student(copy)
    assert_same_weights(old.module.state_dict(), expected)
    assert old.space == images.student.space
    flip(copy / CHECKPOINT, -40)
    with pytest.raises(rd.LoadError, match=r"checkpoint.safetensors: is damaged .* run the trial"):
        rd.load_student(copy)
    (copy / CHECKPOINT).unlink()
    with pytest.raises(rd.LoadError, match="holds neither student"):
        rd.load_student(copy)


def test_a_checkpoint_before_the_last_update_is_not_taken_for_the_result(
    copy: Path, noisy_values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    interrupt(noisy_values, tmp_path / "early", store, 8)
    (copy / WEIGHTS).unlink()
    shutil.copy(tmp_path / "early" / CHECKPOINT, copy / CHECKPOINT)
    with pytest.raises(rd.LoadError, match="after 8 of 12 updates"):
        rd.load_student(copy)


def flip(path: Path, at: int) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def test_any_flipped_bit_is_refused_in_words(copy: Path) -> None:
    whole = (copy / WEIGHTS).read_bytes()
    header = int.from_bytes(whole[:8], "little")
    places = [*range(8), *range(8, 8 + header, 37), *range(8 + header, len(whole), 4099)]
    for at in places:
        (copy / WEIGHTS).write_bytes(whole)
        flip(copy / WEIGHTS, at)
        with pytest.raises(rd.LoadError, match="student"):
            rd.load_student(copy)


@pytest.mark.parametrize("kept", [0, 7, 8, 100, -1])
def test_a_truncated_file_is_refused_in_words(copy: Path, kept: int) -> None:
    content = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(content[:kept])
    with pytest.raises(rd.LoadError, match="is damaged"):
        rd.load_student(copy)


def test_weights_of_another_configuration_are_refused(copy: Path) -> None:
    record = json.loads((copy / "record.json").read_text())
    record["config"]["objective"]["noise_level"] = 0.25
    (copy / "record.json").write_text(json.dumps(record))
    with pytest.raises(rd.LoadError, match="another configuration"):
        rd.load_student(copy)


def test_what_is_no_finished_trial_is_said(
    images: rd.Distilled,
    noisy_values: dict[str, Any],
    storage: Path,
    store: Store,
    tmp_path: Path,
) -> None:
    def refusal(folder: Path) -> str:
        with pytest.raises(rd.LoadError) as caught:
            rd.load_student(folder)
        return str(caught.value)

    assert "trial_00000" in refusal(storage / "front" / "trial_0000")  # what is near
    assert "is no trial but holds" in refusal(storage / "front")
    assert "holds no record.json" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert "has not begun" in refusal(tmp_path)
    (tmp_path / "record.json").write_text("[]")
    assert "is damaged" in refusal(tmp_path)
    interrupt(noisy_values, tmp_path / "half", store, 8)
    said = refusal(tmp_path / "half")
    assert "has not finished: 6 of 12 updates" in said
    assert "checkpoint.safetensors" in said
    assert "raydistill run" in said
    run(noisy_values | {"optimiser": DIVERGING}, tmp_path / "failed", store)
    assert "failed and left no student: diverged: loss is" in refusal(tmp_path / "failed")
    with pytest.raises(rd.LoadError, match=r"^device: 'abacus' is unknown"):
        rd.load_student(images.folder.uri, device="abacus")
    with pytest.raises(rd.LoadError, match=r"^replica: 0 has no meaning for the image task"):
        rd.load_student(images.folder.uri, replica=0)


def run_as_one_of_two(rank: int, folder: str, values: dict[str, Any], store: Store) -> None:
    """A worker of the test below."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    place = Storage.open(folder).child("shared")
    run_trial(rd.parse_trial(values), TrialRun("shared", place, store, Workers(rank, 2)))
    torch.distributed.destroy_process_group()


def test_a_trial_of_several_workers_leaves_one_student(
    gaussians: rd.Distilled, store: Store, tmp_path: Path
) -> None:
    """Names are those of the student, not of what DDP wraps around it."""
    arguments = (str(tmp_path), gaussians.record.config, store)
    torch.multiprocessing.spawn(run_as_one_of_two, arguments, nprocs=2)
    shared = rd.load_student(tmp_path / "shared")
    alone = gaussians.student.module.state_dict()
    assert_same_weights(shared.module.state_dict(), in_checkpoint(tmp_path / "shared"))
    for name, value in shared.module.state_dict().items():
        torch.testing.assert_close(value, alone[name], rtol=0.0, atol=1e-9)


def test_a_model_of_the_user_s_own_is_loaded_and_sampled(
    noisy_values: dict[str, Any], storage: Path
) -> None:
    student = {"kind": "tests.own_models:OwnStudentConfig", "gain": 1.5}
    config = rd.parse_trial(merge(noisy_values, {"student": student}))
    own = rd.distill(config, storage=storage, name="front/own").student
    images = own.sample(6, seed=2)
    assert isinstance(images, Tensor)
    assert images.shape == (6, 1, 8, 8)
    assert 0.0 <= float(images.min()) < float(images.max()) <= 1.0
    z = torch.ones(1, 1, 8, 8)
    state = own.module.state_dict()
    made = own.forward(z)
    assert isinstance(made, Tensor)
    torch.testing.assert_close(made[0], state["offset"] + state["scale"])

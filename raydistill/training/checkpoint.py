"""The checkpoint of a job: weights, optimiser and progress in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from raydistill.record import parse_evaluation
from raydistill.store.storage import Storage
from raydistill.training.job import Job, TrainingState

CHECKPOINT = "checkpoint.safetensors"


def save_checkpoint(
    job: Job, optimiser: torch.optim.Optimizer, state: TrainingState, folder: Storage
) -> None:
    """Write the checkpoint of a job, atomically; nothing in it is ever unpickled.

    Args:
        job: whose module's weights are saved.
        optimiser: whose state is saved.
        state: how far the job has come.
        folder: where the file goes; an earlier checkpoint is replaced.
    """
    tensors = {f"module.{name}": value for name, value in job.module.state_dict().items()}
    for index, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in slots.items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {
        "state": json.dumps(asdict(state)),
        "job": identity_of(job),
        "sha256": digest_of(tensors),
    }
    metadata["description_sha256"] = _description_digest(metadata, tensors)
    folder.write(CHECKPOINT, safetensors.torch.save(tensors, metadata=metadata))


def load_checkpoint(
    job: Job, optimiser: torch.optim.Optimizer, folder: Storage, device: torch.device
) -> TrainingState:
    """Restore a job's weights and its optimiser from the checkpoint in a folder.

    Args:
        job: its module is changed in place.
        optimiser: of the module's parameters; changed in place.
        folder: where the checkpoint is.
        device: of the module.

    Returns:
        How far the job had come. If there is no checkpoint, or it is damaged or of another job,
        nothing is changed, and that is no update.
    """
    try:
        content = folder.read(CHECKPOINT)
    except FileNotFoundError:
        return TrainingState()
    try:
        metadata = metadata_of(content)
        if metadata["job"] != identity_of(job):
            return TrainingState()
        tensors = safetensors.torch.load(content)
        saved_state = metadata["state"]
        digests = metadata["sha256"], metadata["description_sha256"]
        if digests != (digest_of(tensors), _description_digest(metadata, tensors)):
            return TrainingState()
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return TrainingState()  # writes are atomic, so something else damaged it: start again
    strip = len("module.")
    job.module.load_state_dict(
        {name[strip:]: value for name, value in tensors.items() if name.startswith("module.")}
    )
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": slots})
    values = json.loads(saved_state)
    values["history"] = [parse_evaluation(evaluation) for evaluation in values["history"]]
    return TrainingState(**values)


def metadata_of(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, from its JSON header, which follows 8 bytes of length."""
    header: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata: dict[str, str] = header["__metadata__"]
    return metadata


def digest_of(tensors: dict[str, Tensor]) -> str:
    """A hash of all tensors, since safetensors itself does not notice flipped bits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _description_digest(metadata: dict[str, str], tensors: dict[str, Tensor]) -> str:
    """A hash of all that a checkpoint holds beside its numbers: progress, job, types and shapes."""
    forms = {name: [str(value.dtype), list(value.shape)] for name, value in tensors.items()}
    said = [metadata["state"], metadata["job"], metadata["sha256"], forms]
    text = json.dumps(said, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def identity_of(job: Job) -> str:
    """What must be the same in a job and in the checkpoint that it continues from, as JSON."""
    return json.dumps(
        [
            job.name,
            job.seed,
            job.optimiser.model_dump(),
            job.budget.model_dump(),
            job.identity,
            {name: list(value.shape) for name, value in job.module.state_dict().items()},
        ],
        sort_keys=True,
    )

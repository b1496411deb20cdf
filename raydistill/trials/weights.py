"""The weights of a trial's student: a file of their own, without the optimiser's state.

`student.safetensors` is written when a trial finishes. Its metadata says all that a student is
rebuilt from, so that loading needs neither the data set nor the optimiser's state. Trials of
versions that wrote no such file are read from their checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from raydistill.config.errors import ConfigError
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.tasks.registry import parse_space, parse_trial_json, space_of
from raydistill.tasks.space import Space
from raydistill.tasks.trial_config import TrialConfig
from raydistill.training.checkpoint import CHECKPOINT, digest_of, metadata_of

WEIGHTS = "student.safetensors"
"""The file's name inside a trial's folder."""

FORMAT = "1"
"""Of the metadata."""

ENTRY = "raydistill"
"""The metadata's name in the file's header: JSON of names to texts."""

IN_CHECKPOINT = "module.student."
"""What names of the student's weights begin with inside a checkpoint: the trained module is a
`DistillationLoss`, and never what DDP wraps around it."""


class LoadError(ValueError):
    """Something saved is absent, unfinished or damaged; the message says which and what to do.

    Example:
        >>> import raydistill as rd
        >>> rd.load_student("no/such/folder")
        Traceback (most recent call last):
        ...
        raydistill.trials.weights.LoadError: trial: no folder ...
    """


@dataclass(frozen=True)
class SavedStudent:
    """What a trial's folder holds of its student.

    Attributes:
        weights: by the names of the student's `state_dict`, on the CPU.
        space: what the student needs beside them.
    """

    weights: dict[str, Tensor]
    space: Space


def save_weights(
    folder: Storage, student: Student, config: TrialConfig, space: Space, teacher: str
) -> None:
    """Write `student.safetensors`, whole or not at all.

    Args:
        folder: the trial's.
        student: after its last update.
        config: the trial.
        space: the task's.
        teacher: the beginning of the hash of the teacher's weights.
    """
    weights = {
        name: value.detach().cpu().contiguous() for name, value in student.state_dict().items()
    }
    described = {
        "format": FORMAT,
        "task": config.task,
        "kind": config.student.kind,
        "event_shape": json.dumps(list(student.event_shape)),
        "space": space.model_dump_json(),
        "config": config.model_dump_json(),
        "teacher": teacher,
    }
    # One entry: safetensors writes several in an order that changes from run to run.
    text = json.dumps(described | {"sha256": _digest(weights, described)})
    folder.write(WEIGHTS, safetensors.torch.save(weights, metadata={ENTRY: text}))


def load_weights(folder: Storage, config: TrialConfig) -> SavedStudent:
    """The weights of a finished trial.

    Args:
        folder: the trial's.
        config: the trial.

    Raises:
        LoadError: there are none, they are damaged, or they are another configuration's.
        DataError: the trial is of a version that kept no scale of the data beside the weights, and
            the data set is absent.
    """
    if folder.exists(WEIGHTS):
        return _from_weights(folder, config)
    if folder.exists(CHECKPOINT):
        return _from_checkpoint(folder, config)
    raise LoadError(
        f"{folder.uri}: holds neither {WEIGHTS} nor {CHECKPOINT}; run the trial again from its "
        "config.json"
    )


def put_weights(model: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Load weights into an untrained model that must fit them in every name, shape and type.

    Args:
        model: changed in place.
        weights: by the names of its `state_dict`.
        where: what an error names.

    Raises:
        LoadError: they do not fit.
    """
    expected = {name: (v.shape, v.dtype) for name, v in model.state_dict().items()}
    found = {name: (v.shape, v.dtype) for name, v in weights.items()}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise LoadError(
                f"{where}: its tensor {name!r} is {_shown(found.get(name))}, and the model's is "
                f"{_shown(expected.get(name))}; the code of {type(model).__name__} has changed "
                "since; use the version that wrote it"
            )
    model.load_state_dict(weights)


def _from_weights(folder: Storage, config: TrialConfig) -> SavedStudent:
    where = folder.child(WEIGHTS).uri
    weights, entries = _read(folder, WEIGHTS)
    metadata = _parsed(entries.get(ENTRY, ""), where)
    if metadata.get("format") != FORMAT:
        raise LoadError(
            f"{where}: format {metadata.get('format')!r} is not the {FORMAT!r} of this version; "
            "load it with the version that record.json names under environment"
        )
    digest = metadata.pop("sha256", "")
    if digest != _digest(weights, metadata):
        raise LoadError(_damaged(where, "its checksum does not match"))
    try:
        space = parse_space(json.loads(metadata["space"]))
        trained = parse_trial_json(metadata["config"])
    except (ConfigError, ValueError, KeyError) as error:
        raise LoadError(_damaged(where, str(error))) from error
    if trained != config:
        raise LoadError(
            f"{where}: belongs to another configuration than the record beside it; run the trial "
            "again from its config.json"
        )
    return SavedStudent(weights, space)


def _from_checkpoint(folder: Storage, config: TrialConfig) -> SavedStudent:
    where = folder.child(CHECKPOINT).uri
    tensors, metadata = _read(folder, CHECKPOINT)
    if metadata.get("sha256") != digest_of(tensors):
        raise LoadError(_damaged(where, "its checksum does not match"))
    try:
        updates = json.loads(metadata["state"])["updates"]
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError(_damaged(where, f"it does not say how far it is: {error!r}")) from error
    if updates != config.budget.updates:
        raise LoadError(
            f"{where}: holds the weights after {updates} of {config.budget.updates} updates; run "
            "the trial again from its config.json to go on from there"
        )
    weights = {
        name.removeprefix(IN_CHECKPOINT): value
        for name, value in tensors.items()
        if name.startswith(IN_CHECKPOINT)
    }
    return SavedStudent(weights, space_of(config))


def _read(folder: Storage, name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    content = folder.read(name)
    try:
        return safetensors.torch.load(content), dict(metadata_of(content))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise LoadError(_damaged(folder.child(name).uri, str(error))) from error


def _parsed(text: str, where: str) -> dict[str, str]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise LoadError(_damaged(where, f"its metadata is no JSON: {error}")) from error
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise LoadError(_damaged(where, "its metadata is no table of texts"))
    return values


def _digest(weights: dict[str, Tensor], described: dict[str, str]) -> str:
    """Of every bit that loading depends on: a changed word of the metadata is damage too."""
    types = {name: [str(value.dtype), list(value.shape)] for name, value in weights.items()}
    text = json.dumps([described, types], sort_keys=True)
    return hashlib.sha256((text + digest_of(weights)).encode()).hexdigest()


def _damaged(where: str, reason: str) -> str:
    return f"{where}: is damaged ({reason}); run the trial again from its config.json"


def _shown(tensor: tuple[object, object] | None) -> str:
    if tensor is None:
        return "absent"
    shape, dtype = tensor
    return f"{tuple(shape)} {str(dtype).removeprefix('torch.')}"  # type: ignore[arg-type]

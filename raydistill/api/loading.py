"""Students and teachers from the files that a trial or a sweep has left."""

from __future__ import annotations

import logging

import torch

from raydistill.api.codes import prior_of
from raydistill.api.locate import (
    TEACHERS,
    Location,
    find_teacher,
    find_trial,
    open_device,
    open_trial,
    store_in,
)
from raydistill.api.student import LoadedStudent
from raydistill.api.teacher import LoadedTeacher
from raydistill.store.assets import SHORT, Asset, Store
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.gaussian.config import GaussianTrial
from raydistill.tasks.models import resolve_teacher
from raydistill.tasks.registry import get_teacher, parse_space, space_of
from raydistill.tasks.trial_config import TrialConfig
from raydistill.trials.weights import WEIGHTS, LoadError, load_weights, put_weights

logger = logging.getLogger(__name__)


def load_student(
    trial: Location, *, device: str | torch.device = "cpu", replica: int | None = None
) -> LoadedStudent:
    """The student of a finished trial, with the weights after its last update.

    Args:
        trial: its folder, a local path or a URI. The data set need not be there.
        device: where it computes.
        replica: of a trial that trained a stack of K students, one a seed: which one, from 0; None
            loads the stack, with event shape (K, T).

    Raises:
        LoadError: the folder holds no finished trial, or a file in it is damaged.
        ConfigError: a model of your own in its configuration cannot be imported.
        DataError: the trial is of an older version, whose students need the data set to be loaded,
            and it is absent.

    Example:
        >>> import raydistill as rd
        >>> rd.load_student("no/such/folder")
        Traceback (most recent call last):
        ...
        raydistill.trials.weights.LoadError: trial: no folder ...
    """
    target = open_device(device)
    found = open_trial(trial)
    saved = load_weights(found.folder, found.config)
    where = found.folder.child(WEIGHTS).uri
    module, weights = saved.space.build_student(found.config), saved.weights
    put_weights(module, weights, where)
    if replica is not None:
        module = _pick(module, found.config, replica)
    module = module.to(target).eval().requires_grad_(False)
    return LoadedStudent(module, found, saved.space, replica)


def load_teacher(
    storage: Location, key_or_trial: str, *, device: str | torch.device = "cpu"
) -> LoadedTeacher:
    """A teacher that a sweep trained.

    Args:
        storage: the storage path of the sweep; a local folder or a URI.
        key_or_trial: the hash of the teacher's weights or of its recipe (which names its folder in
            the store), the beginning of one, or a trial that used it: the path of its folder, or
            its name inside the storage path, such as SWEEP/trial_00003.
        device: where it computes.

    Raises:
        LoadError: nothing fits, several keys do, files are damaged, or a model of your own cannot
            be imported.
        DataError: the teacher is of an older version, which kept no scale of the data, and the data
            set is absent.

    Example:
        >>> import raydistill as rd
        >>> rd.load_teacher("no/such/folder", "cafe")
        Traceback (most recent call last):
        ...
        raydistill.trials.weights.LoadError: storage: no folder ...
    """
    target, root = open_device(device), Storage.open(storage)
    name = str(key_or_trial)
    store = store_in(root)
    folder = None if name in store.contents(TEACHERS) else find_trial(root, name)
    if folder is None:
        if not root.exists():
            raise LoadError(f"storage: no folder {root.uri!r}; give the storage path of a sweep")
        return from_asset(find_teacher(store, name), store, target, None)
    trial = open_trial(folder.uri)
    if not trial.config.needs_assets:
        drawn = get_teacher(trial.config, store, target)
        if drawn.key != trial.record.teacher:
            logger.warning("the code that draws the teacher of %s has changed since", folder.uri)
        return from_trained(drawn, trial.config, store, target)
    return from_asset(find_teacher(store, trial.record.teacher), store, target, trial.config)


def from_asset(
    asset: Asset, store: Store, device: torch.device, config: TrialConfig | None
) -> LoadedTeacher:
    """A teacher from its files.

    Args:
        asset: weights, what they were trained from, what was measured then.
        store: where it is kept.
        device: where it is to compute.
        config: a trial that used it, for assets of versions that kept no space.

    Raises:
        LoadError: the asset is of such a version and no trial is named, or its weights do not fit.
    """
    where = f"teacher: {store.storage.child(TEACHERS, asset.key).uri}"
    if "space" in asset.info:
        space = parse_space(asset.info["space"])
    elif config is not None:
        space = space_of(config)
    else:
        raise LoadError(
            f"{where} was written by a version that kept no scale of the data; name a trial that "
            "used it, such as SWEEP/trial_00003, instead of its key"
        )
    try:
        model = resolve_teacher(asset.recipe["training"]["model"])
    except ValueError as error:
        raise LoadError(f"{where} cannot be rebuilt: {error}") from error
    module = space.build_teacher(model)
    put_weights(module, asset.tensors, where)
    return LoadedTeacher(
        module.to(device).eval().requires_grad_(False),
        asset.content[:SHORT],
        space,
        prior_of(model.normal_prior),
        asset.info,
        store,
    )


def from_trained(
    trained: TeacherAsset, config: TrialConfig, store: Store, device: torch.device
) -> LoadedTeacher:
    """A teacher that has just been trained, drawn or found."""
    described = trained.info.get("space")
    return LoadedTeacher(
        trained.teacher.to(device),
        trained.identity,
        space_of(config) if described is None else parse_space(described),
        prior_of(trained.normal_prior),
        trained.info,
        store,
    )


def _pick(module: Student, config: TrialConfig, replica: int) -> Student:
    """One student of a stack."""
    if not isinstance(config, GaussianTrial):
        raise LoadError(
            f"replica: {replica} has no meaning for the {config.task} task; leave it out"
        )
    if not 0 <= replica < config.replicas:
        raise LoadError(
            f"replica: {replica} is none of the {config.replicas} that were trained; give 0 to "
            f"{config.replicas - 1}"
        )
    one = config.student.build((config.dimension,)).to(dtype=config.dtype)
    one.load_state_dict({name: value[replica] for name, value in module.state_dict().items()})
    return one

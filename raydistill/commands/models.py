"""Which trained model a command line names, and loading it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from raydistill.config.errors import ConfigError

if TYPE_CHECKING:
    from raydistill.api.student import LoadedStudent
    from raydistill.api.teacher import LoadedTeacher

HOW_TO_NAME = (
    "a trial's folder (SWEEP/trial_00003), or a teacher: STORAGE:KEY, STORAGE/store/teachers/KEY, "
    "or a trial's folder with --teacher"
)
"""For help and refusals."""

IN_STORE = re.compile(r"(?P<storage>.*)/store/teachers/(?P<key>[^/]+)/?")
AFTER_COLON = re.compile(r"(?P<storage>.+):(?P<key>[0-9a-f]+)")
"""A storage path, a colon, and the hash of a recipe or of weights, or the beginning of one."""


def load_model(
    name: str, *, teacher: bool, device: str, replica: int | None = None
) -> LoadedStudent | LoadedTeacher:
    """The model of a name as in `HOW_TO_NAME`.

    Args:
        name: from the command line.
        teacher: whether a trial's folder stands for its teacher; otherwise for its student.
        device: where it computes.
        replica: which of a stack of students; None for all.

    Raises:
        LoadError: there is none; DataError, StorageError and ConfigError as `load_student` and
            `load_teacher` do.
    """
    import raydistill

    key = teacher_key(name)
    if not teacher and key is None:
        return raydistill.load_student(name, device=device, replica=replica)
    if replica is not None:
        raise ConfigError(f"replica: {replica} is asked of a teacher; leave it out")
    return load_teacher(name, device=device)


def load_teacher(name: str, *, device: str) -> LoadedTeacher:
    """The teacher of a name: by its key, or of the trial in a folder.

    Raises:
        LoadError: there is none; see `load_model`.
    """
    import raydistill
    from raydistill.api.locate import store_beside
    from raydistill.store.storage import Storage

    key = teacher_key(name)
    if key is not None:
        return raydistill.load_teacher(key[0], key[1], device=device)
    folder = Storage.open(name)
    store = store_beside(folder)
    if store is None or store.storage.parent is None:
        above = folder.parent or folder
        raise ConfigError(
            f"model: {name!r} has no store of teachers beside it (looked in {above.uri} and "
            f"above); give {HOW_TO_NAME}"
        )
    return raydistill.load_teacher(store.storage.parent.uri, folder.uri, device=device)


def teacher_key(name: str) -> tuple[str, str] | None:
    """Storage path and key of a teacher that is named by its key; None if it is not.

    Example:
        >>> teacher_key("results:0123abcd")
        ('results', '0123abcd')
        >>> teacher_key("s3://bucket/results/store/teachers/0123abcd")
        ('s3://bucket/results', '0123abcd')
        >>> teacher_key("s3://bucket/results:0123abcd?endpoint_override=localhost:9000")
        ('s3://bucket/results?endpoint_override=localhost:9000', '0123abcd')
        >>> teacher_key("results/my sweep/trial_00003") is None
        True
    """
    if os.path.isdir(name) and os.path.isfile(os.path.join(name, "record.json")):
        return None  # a trial's folder, whatever its path looks like
    # A URI's options stand last, and belong to the storage path.
    place, mark, options = name.partition("?") if "://" in name else (name, "", "")
    found = IN_STORE.fullmatch(place) or AFTER_COLON.fullmatch(place)
    if found is None or (found["storage"] + ":").endswith("://"):
        return None
    return (found["storage"] or ".") + mark + options, found["key"]


@contextmanager
def refusing(**options: str) -> Iterator[None]:
    """Turn what a model says of its arguments into a refusal that names the options.

    Args:
        options: argument of the model -> option of the command line.

    Raises:
        ConfigError: in place of a ValueError about one of these arguments. Any other error is a
            fault of the program and stays what it is.
    """
    try:
        yield
    except ValueError as error:
        field, _, rest = str(error).partition(": ")
        if field not in options:
            raise
        raise ConfigError(f"{options[field]}: {rest}") from error

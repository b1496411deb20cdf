"""Where the data sets of a sweep's trials are, for processes on any machine.

A driver names folders of its own. Where all work runs on its machine, these are read, made
absolute. Where it may run elsewhere, or the results are in a bucket, the files are staged into the
store, and every process reads its machine's copy of them. Data sets that come with installed
packages are everywhere.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raydistill.config.errors import ConfigError
from raydistill.data.raw import DataError
from raydistill.data.staging import fetch, stage
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.registry import check_data
from raydistill.tasks.trial_config import TrialConfig

PLACES = "data.json"
"""The file in a sweep's folder that says which staged data its trials have."""


@dataclass(frozen=True)
class DataPlaces:
    """Where data sets are, by the `data_key` of the configurations that read them. Picklable.

    Attributes:
        staged: fingerprints of sets in the store.
        folders: folders on the only machine that there is.
    """

    staged: tuple[tuple[str, str], ...] = ()
    folders: tuple[tuple[str, str], ...] = ()

    def here(self, config: TrialConfig, store: Store) -> TrialConfig:
        """A configuration that reads its data set where it is on this machine.

        The records and what the store keeps do not depend on it.

        Args:
            config: as the user gave it.
            store: of the sweep.

        Raises:
            DataError: the files are not here, and cannot be fetched.
        """
        fingerprint = dict(self.staged).get(config.data_key)
        if fingerprint is not None:
            return config.reading_from(fetch(fingerprint, store))
        folder = dict(self.folders).get(config.data_key)
        if folder is None:
            return config
        if not Path(folder).exists():
            raise DataError(
                f"data.root: {folder} is not on {socket.gethostname()}, which joined after the "
                "sweep had begun on one machine alone; run the sweep again with --resume, which "
                "now puts the files into the store"
            )
        return config.reading_from(folder)

    def to_json(self) -> str:
        """What `PLACES` holds."""
        return json.dumps({"staged": dict(self.staged)}, indent=1) + "\n"


def read_places(sweep: Storage) -> DataPlaces:
    """What a sweep that is resumed has staged; nothing if it has not, or cannot say."""
    try:
        staged = json.loads(sweep.read(PLACES))["staged"]
        return DataPlaces(tuple((str(key), str(value)) for key, value in staged.items()))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return DataPlaces()


def check_places(configs: Sequence[TrialConfig], before: DataPlaces) -> None:
    """Refuse data sets that are neither on this machine nor staged by the sweep that is resumed.

    Args:
        configs: one for each data set at least.
        before: of that sweep.

    Raises:
        DataError: one is absent or damaged.
    """
    staged = dict(before.staged)
    for config in _one_a_set(configs):
        try:
            check_data(config)
        except DataError:
            if config.data_key not in staged:
                raise


def place_data(
    configs: Sequence[TrialConfig],
    before: DataPlaces,
    store: Store,
    *,
    elsewhere: bool,
    say: Callable[[str], None] = lambda line: None,
) -> DataPlaces:
    """Decide where data sets are read, and stage those that other machines need.

    Args:
        configs: one for each data set at least.
        before: of the sweep that is resumed.
        store: of the sweep.
        elsewhere: whether work may run on other machines.
        say: told of each set that is in the store.

    Raises:
        DataError: a data set is absent.
        ConfigError: its files are others than those that the sweep has begun with.
    """
    staged, folders = dict(before.staged), {}
    for config in _one_a_set(configs):
        key, folder = config.data_key, config.data_folder
        if folder is None:
            continue
        if not elsewhere and store.storage.local_path is not None and key not in staged:
            folders[key] = folder
            continue
        try:
            files = config.data_files()
        except DataError:
            if key in staged:
                continue  # a head that took over lacks the files, and needs them no more
            raise
        fingerprint = stage(files, store)
        if staged.setdefault(key, fingerprint) != fingerprint:
            raise ConfigError(
                f"data.root: the files in {folder} are not those that the sweep has begun with; "
                "restore them, or start a sweep under another --name"
            )
        say(f"data set {config.dataset}: its {len(files)} files are in the store, for all machines")
    return DataPlaces(tuple(staged.items()), tuple(folders.items()))


def _one_a_set(configs: Sequence[TrialConfig]) -> list[TrialConfig]:
    return list({config.data_key: config for config in configs}.values())

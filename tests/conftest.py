"""Fixtures that several test files share."""

from __future__ import annotations

import os

# Before torch is imported, here and in the processes that tests start: the machine is shared, and
# idle threads that spin would slow whatever else runs on it.
os.environ["OMP_WAIT_POLICY"] = "passive"
os.environ["OMP_NUM_THREADS"] = "1"
# A worker of Ray that waits for the next sweep has imported everything already: seven seconds.
os.environ["RAY_idle_worker_killing_time_threshold_ms"] = "600000"  # noqa: SIM112  (its name)
# By default Ray's workers give way to everything else: beside another test they would hardly run.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (its name)

from typing import Any

import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

from raydistill.data.images import ImageData, load_images
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.image.task import ImageTask
from raydistill.tasks.presets import image_preset
from raydistill.tasks.registry import parse_trial
from raydistill.teachers.pixelcnn import PixelCNNTeacher
from tests.helpers import merge, tiny_teacher
from tests.training.jobs import JOBS, Whole, run

torch.set_num_threads(1)

pytest_plugins = ["tests.s3.fixtures"]


RAY_TESTS = "tests/cluster/"
"""Where tests of Ray are."""

RAYLESS_TESTS = "tests/cluster/design/"
"""Among them, those of the room that imports no Ray."""

BEGUN_FIRST = (RAY_TESTS, "tests/trials/", "tests/analysis/", "tests/training/", "tests/tasks/")
"""Folders whose files take the longest, in that order: a long file begun last is waited for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes the longest."""

    def place(item: pytest.Item) -> int:
        folders = (k for k, folder in enumerate(BEGUN_FIRST) if item.nodeid.startswith(folder))
        return next(folders, len(BEGUN_FIRST))

    items.sort(key=place)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How tests are shared where several processes run them."""
    return OneRay(config, log)


class OneRay(LoadScopeScheduling):
    """One process for all tests of Ray, since a machine has room for one, and others file by file.

    What a file's tests share is then made once.
    """

    def _split_scope(self, nodeid: str) -> str:
        needs_ray = nodeid.startswith(RAY_TESTS) and not nodeid.startswith(RAYLESS_TESTS)
        return RAY_TESTS if needs_ray else nodeid.partition("::")[0]


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """The 1797 digits of scikit-learn at 8x8."""
    return load_images("digits", 8)


@pytest.fixture
def teacher() -> PixelCNNTeacher:
    """A tiny PixelCNN++ in float64 whose conditionals really depend on the past."""
    return tiny_teacher()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that all tests of a session share, so that each teacher is trained once."""
    return Store(Storage.open(tmp_path_factory.mktemp("results") / "store"))


@pytest.fixture(scope="session")
def smoke_values() -> dict[str, Any]:
    """The smoke preset's trial with budgets cut to a fraction of a second."""
    return merge(
        image_preset("smoke", None).model_dump(mode="json"),
        {
            "teacher": {"threads": 1},
            "pairs": {"data_copies": 1, "oracle_count": 100},
            "evaluation": {"samples": 50, "teacher_draws": 100},
            "budget": {
                "updates": 12,
                "batch_size": 16,
                "evaluate_every": 6,
                "checkpoint_every": 4,
            },
        },
    )


@pytest.fixture(scope="session")
def smoke(smoke_values: dict[str, Any]) -> ImageTrial:
    """The trial of `smoke_values`."""
    return parse_trial(smoke_values)


@pytest.fixture(scope="session")
def task(smoke: ImageTrial, store: Store) -> ImageTask:
    """The image task with a smoke-size teacher trained on digits."""
    return ImageTask(smoke, store, torch.device("cpu"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Each job run from its start to its end in one go."""
    return {name: run(make(), tmp_path_factory.mktemp(name)) for name, make in JOBS.items()}

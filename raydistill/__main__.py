"""Run one trial from its `config.json`, without Ray.

python -m raydistill results/SWEEP/trial_00003/config.json --storage-path results --name rerun
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from raydistill.config.errors import ConfigError
from raydistill.data.raw import DataError
from raydistill.store.assets import Store
from raydistill.store.storage import Storage, StorageError
from raydistill.tasks.assets import SamplesDivergedError
from raydistill.tasks.registry import parse_trial_json
from raydistill.training.job import Progress
from raydistill.trials.book import TrialRun
from raydistill.trials.run import run_trial


@dataclass(frozen=True)
class RunSettings:
    """Run one trial.

    Attributes:
        config: path of a trial's config.json.
        storage_path: folder or URI with the store of teachers; the trial is written beside it.
        name: folder of the trial.
        device: cpu or cuda.
    """

    config: Annotated[Path, tyro.conf.Positional]
    storage_path: str = "results"
    name: str = "trial"
    device: str = "cpu"


def main(settings: RunSettings) -> None:
    """Run the trial; refusals are one line on standard error and exit status 2."""
    try:
        config = parse_trial_json(settings.config.read_text())
        root = Storage.open(settings.storage_path)
        root.check_writable()
        record = run_trial(
            config,
            TrialRun(
                settings.name,
                root.child(settings.name),
                Store(root.child("store")),
                device=torch.device(settings.device),
                on_progress=lambda progress: _say(progress, config.headline),
            ),
        )
    except FileNotFoundError:
        print(f"config: no file {str(settings.config)!r}; give a config.json", file=sys.stderr)
        sys.exit(2)
    except (ConfigError, DataError, StorageError, SamplesDivergedError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if record.status == "failed":
        print(f"failed: {record.cause}", file=sys.stderr)
        sys.exit(1)
    for name, value in sorted(record.metrics("test").items()):
        print(f"test {name}: {value:.6g}")


def _say(progress: Progress, headline: str) -> None:
    if progress.evaluation is not None:
        shown = f"validation {headline} {progress.evaluation.metrics[headline]:.4g}"
        print(f"{progress.updates}/{progress.total} updates, {shown}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(RunSettings, description=__doc__))

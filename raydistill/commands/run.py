"""`raydistill run`: one trial from its configuration, without Ray."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from raydistill.commands.models import refusing
from raydistill.config.errors import ConfigError
from raydistill.console import ExitStatus

if TYPE_CHECKING:
    from raydistill.training.job import Progress


@dataclass(frozen=True)
class RunSettings:
    """Run one trial from its config.json, without Ray; goes on where an interrupted one stopped.

    Attributes:
        config: path of a trial's config.json.
        storage_path: folder or URI with the store of teachers; the trial is written beside it.
        name: folder of the trial.
        device: cpu or cuda.
        paper: say first where the trial differs from the paper's settings.
    """

    config: Annotated[Path, tyro.conf.Positional]
    storage_path: str = "results"
    name: str = "trial"
    device: str = "cpu"
    paper: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def run(settings: RunSettings) -> ExitStatus:
    """Run the trial and print its progress and test metrics.

    Raises:
        ConfigError: the configuration or the device cannot be; its data set or storage path may be
            refused as well, each by an error of its own.
    """
    import raydistill
    from raydistill.tasks.registry import parse_trial_json
    from raydistill.training.job import TrainingDivergedError

    config = parse_trial_json(_read(settings.config))
    if settings.paper:
        for one in raydistill.presets.deviations(config):
            print(f"{one.field}: {one.ours}, in the paper {one.paper} ({one.why})", flush=True)
    try:
        with refusing(name="name"):
            record = raydistill.distill(
                config,
                storage=settings.storage_path,
                name=settings.name,
                device=settings.device,
                on_progress=lambda progress: _say(progress, config.headline),
            ).record
    except TrainingDivergedError as error:  # of a student it is in the record
        print(f"failed: the teacher: {error}", file=sys.stderr)
        return ExitStatus.ALL_FAILED
    if record.status == "failed":
        print(f"failed: {record.cause}", file=sys.stderr)
        return ExitStatus.ALL_FAILED
    for name, value in sorted(record.metrics("test").items()):
        print(f"test {name}: {value:.6g}")
    return ExitStatus.OK


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"config: no file {str(path)!r}; give a config.json") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no text"
        raise ConfigError(
            f"config: {str(path)!r} cannot be read ({reason}); give a trial's config.json"
        ) from None


def _say(progress: Progress, headline: str) -> None:
    if progress.evaluation is not None:
        shown = f"validation {headline} {progress.evaluation.metrics[headline]:.4g}"
        print(f"{progress.updates}/{progress.total} updates, {shown}", flush=True)

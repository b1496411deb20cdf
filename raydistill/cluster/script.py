"""A sweep as a script: its command line, what it prints when it is refused, its exit status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import tyro
from rich.console import Console

from raydistill.cluster.design.question import Question
from raydistill.cluster.design.settings import SweepSettings, with_resume_value
from raydistill.cluster.errors import SweepStoppedError
from raydistill.cluster.sweep import (
    SweepInterruptedError,
    SweepResult,
    TeacherDivergedError,
    run_sweep,
)
from raydistill.cluster.sweep_folder import SweepLostError
from raydistill.config.errors import ConfigError
from raydistill.console import EXIT_STATUS_HELP, ExitStatus, make_console, prepare_output
from raydistill.data.raw import DataError
from raydistill.store.storage import StorageError

Settings = TypeVar("Settings", bound=SweepSettings)


def parse_settings(
    kind: type[Settings], description: str | None, arguments: Sequence[str] | None = None
) -> Settings:
    """The settings of a command line.

    Args:
        kind: the script's settings.
        description: of the script, for `--help`.
        arguments: by default the command line's; a wrong one ends the process with status 2.
    """
    prepare_output()
    text = f"{description or ''}\n\n{EXIT_STATUS_HELP}"
    given = with_resume_value(sys.argv[1:] if arguments is None else arguments)
    return tyro.cli(kind, description=text, args=given)


def main(settings: Settings, ask: Callable[[Settings], Question]) -> None:
    """Run one sweep as a script; see `run_script`.

    Args:
        settings: from the command line.
        ask: the question of settings in which nothing is left to default.
    """
    run_script(lambda console: [run_sweep(settings, ask, console)])


def run_script(work: Callable[[Console], Iterable[SweepResult | None]]) -> None:
    """Run sweeps as a script, and exit with the `ExitStatus` that all of them come to.

    Refusals are one line on standard error. Returns only where all trials ended well.

    Args:
        work: runs the sweeps one after the other; a dry run has None as its result.
    """
    prepare_output()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    console = make_console()
    try:
        results = [result for result in work(console) if result is not None]
    except (ConfigError, DataError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.REFUSED)
    except TeacherDivergedError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.ALL_FAILED)
    except SweepLostError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.INTERRUPTED)
    except SweepStoppedError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.STOPPED)
    except SweepInterruptedError as interrupted:
        console.print(str(interrupted), soft_wrap=True)
        sys.exit(ExitStatus.INTERRUPTED)
    except KeyboardInterrupt:
        console.print("interrupted before any work")
        sys.exit(ExitStatus.INTERRUPTED)
    failed = sum(len(result.failures) for result in results)
    status = ExitStatus.of_trials(failed, sum(result.total for result in results))
    if status != ExitStatus.OK:
        sys.exit(status)

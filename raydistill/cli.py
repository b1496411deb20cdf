"""The command `raydistill`: its command line, its subcommands, its exit statuses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

import raydistill
from raydistill.commands import (
    dashboard,
    decode,
    doctor,
    encode,
    export,
    publish,
    report,
    run,
    sample,
    watch,
)
from raydistill.console import ExitStatus, prepare_output

COMMANDS: dict[str, tuple[type[Any], Callable[[Any], int]]] = {
    "run": (run.RunSettings, run.run),
    "sample": (sample.SampleSettings, sample.sample),
    "encode": (encode.EncodeSettings, encode.encode),
    "decode": (decode.DecodeSettings, decode.decode),
    "export": (export.ExportSettings, export.export),
    "watch": (watch.WatchSettings, watch.watch),
    "report": (report.ReportSettings, report.report),
    "publish": (publish.PublishSettings, publish.publish),
    "dashboard": (dashboard.DashboardSettings, dashboard.dashboard),
    "doctor": (doctor.DoctorSettings, doctor.doctor),
}
"""Name -> its settings, and what does it."""

REFUSALS = (
    ("raydistill.config.errors", "ConfigError"),
    ("raydistill.data.raw", "DataError"),
    ("raydistill.store.storage", "StorageError"),
    ("raydistill.record", "RecordError"),
    ("raydistill.tasks.assets", "SamplesDivergedError"),
    ("raydistill.trials.weights", "LoadError"),
    ("raydistill.export.errors", "ExportError"),
)
"""Errors whose message tells the user what to change: the module and the name of each."""

ENDED_BY_THE_SYSTEM = 1

STATUSES = (
    f"exit status: {ExitStatus.OK.value} done, {ENDED_BY_THE_SYSTEM} the system does not let it, "
    f"{ExitStatus.REFUSED.value} refused before any work, "
    f"{ExitStatus.ALL_FAILED.value} the trial failed, {ExitStatus.INTERRUPTED.value} interrupted"
)
DESCRIPTION = f"""{(raydistill.__doc__ or "").splitlines()[0]}

raydistill COMMAND --help says more; raydistill --version prints the version.

{STATUSES}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand of a command line; a refusal is one line on standard error.

    Args:
        arguments: by default those of the process.

    Returns:
        The exit status; see `ExitStatus`.
    """
    prepare_output()
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        print(f"raydistill {raydistill.__version__}")
        return ExitStatus.OK
    try:
        settings = tyro.extras.subcommand_cli_from_dict(
            {name: kind for name, (kind, _) in COMMANDS.items()},
            prog="raydistill",
            description=DESCRIPTION,
            args=arguments,
        )
        work = next(work for kind, work in COMMANDS.values() if isinstance(settings, kind))
        return work(settings)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitStatus.INTERRUPTED
    except _refusals() as error:
        print(error, file=sys.stderr)
        return ExitStatus.REFUSED
    except OSError as error:  # a full disk, a bucket that does not answer
        print(f"ended by the system: {error}", file=sys.stderr)
        return ENDED_BY_THE_SYSTEM


def _refusals() -> tuple[type[Exception], ...]:
    """Those of `REFUSALS` that can have been raised: the ones whose module has been imported.

    Importing the others here would make `raydistill --help` wait for torch.
    """
    return tuple(
        getattr(sys.modules[module], name) for module, name in REFUSALS if module in sys.modules
    )

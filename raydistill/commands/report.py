"""`raydistill report`: the HTML pages of sweeps, by the checkout's `analysis/report.py`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import raydistill
from raydistill.config.errors import ConfigError

SCRIPT = Path("analysis/report.py")
"""In a checkout. The installed package holds `raydistill` alone."""


@dataclass(frozen=True)
class ReportSettings:
    """Write an HTML page for each sweep; needs a checkout of the project.

    Attributes:
        storage_path: folder or URI that the sweeps were run with.
        name: the one sweep to report on; by default all.
        latest: only the sweep that was written to last.
        out: where to write the page instead; for one sweep only.
        checkout: folder of the checkout; by default the one that raydistill is imported from.
    """

    storage_path: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STORAGE")]
    name: str | None = None
    latest: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    out: str | None = None
    checkout: Path | None = None


def report(settings: ReportSettings) -> int:
    """Run the script on the same options; its output and exit status are this command's.

    Raises:
        ConfigError: there is no such script.
    """
    own = Path(raydistill.__file__).resolve().parents[1]
    script = (settings.checkout or own) / SCRIPT
    if not script.is_file():
        raise ConfigError(
            f"checkout: no {SCRIPT} in {str(settings.checkout or own)!r}, since the installed "
            "package holds no reports; give --checkout with a clone of the project"
        )
    options = [settings.storage_path]
    if settings.name is not None:
        options += ["--name", settings.name]
    if settings.latest:
        options += ["--latest"]
    if settings.out is not None:
        options += ["--out", settings.out]
    return subprocess.call([sys.executable, str(script), *options])

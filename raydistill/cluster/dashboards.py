"""TensorBoard and optuna-dashboard on one sweep, both on loopback, until Ctrl-C.

python -m raydistill.cluster.dashboards results --name noise_injection-20260101-120000
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from raydistill.cluster.design.settings import SWEEP_FILE
from raydistill.cluster.design.study import STUDY_FILE
from raydistill.console import ExitStatus, prepare_output


@dataclass(frozen=True)
class DashboardSettings:
    """Open the dashboards of a sweep.

    Attributes:
        storage_path: local folder of the sweeps.
        name: the sweep; by default the newest.
        tensorboard_port: on 127.0.0.1.
        optuna_port: on 127.0.0.1.
    """

    storage_path: Annotated[Path, tyro.conf.Positional] = Path("results")
    name: str | None = None
    tensorboard_port: int = 6006
    optuna_port: int = 8080


def commands(settings: DashboardSettings, folder: Path) -> dict[str, list[str]]:
    """The command line of each dashboard, by its address.

    Args:
        settings: with the ports.
        folder: of the sweep.
    """
    binaries = Path(sys.executable).parent
    return {
        f"http://127.0.0.1:{settings.tensorboard_port}  (TensorBoard)": [
            sys.executable, "-m", "tensorboard.main", "--logdir", str(folder),
            "--host", "127.0.0.1", "--port", str(settings.tensorboard_port),
        ],
        f"http://127.0.0.1:{settings.optuna_port}  (optuna-dashboard)": [
            str(binaries / "optuna-dashboard"), str(folder / STUDY_FILE),
            "--storage-class", "JournalFileStorage",
            "--host", "127.0.0.1", "--port", str(settings.optuna_port),
        ],
    }  # fmt: skip


def find_sweep(settings: DashboardSettings) -> Path:
    """The folder of the sweep.

    Raises:
        FileNotFoundError: there is none; the message says what to give.
    """
    if settings.name:
        folder = settings.storage_path / settings.name
        if not (folder / SWEEP_FILE).is_file():
            raise FileNotFoundError(
                f"name: no sweep {settings.name!r} in {str(settings.storage_path)!r}; give the "
                "folder's name, or leave --name out for the newest"
            )
        return folder
    found = sorted(settings.storage_path.glob(f"*/{SWEEP_FILE}"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise FileNotFoundError(
            f"storage_path: no sweep in {str(settings.storage_path)!r}; run one, or give the "
            "folder that holds yours"
        )
    return found[-1].parent


def main(settings: DashboardSettings) -> None:
    """Start both, say where they are, wait; exit status 1 if one of them ends by itself."""
    try:
        folder = find_sweep(settings)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.REFUSED)
    print(f"dashboards of {folder}; Ctrl-C closes them")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        running = {}
        for address, command in commands(settings, folder).items():
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            stack.callback(process.terminate)
            running[address] = process
            print(address, flush=True)
        try:
            while True:
                time.sleep(0.5)
                for address, process in running.items():
                    if process.poll() is not None:
                        reason = (process.stderr.read() if process.stderr else "").strip()
                        last = reason.splitlines()[-1:] or ["no reason given"]
                        print(f"{address} ended: {last[0]}", file=sys.stderr)
                        sys.exit(1)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    prepare_output()
    main(tyro.cli(DashboardSettings, description=__doc__))

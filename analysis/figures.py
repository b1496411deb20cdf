"""Every figure of one or several image sweeps as PNG files with captions.md beside them.

python analysis/figures.py STORAGE_PATH NAME [NAME ...] --out DIR
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):
    # Run as a script: the repository's packages lie beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from analysis.image.figure_set import FigureSet, draw_figure_set
from analysis.records import RecordsError, TrialRecord, load_records
from analysis.table import IMAGE, task_of, to_frame
from raydistill.store.storage import StorageError

CAPTIONS = "captions.md"


@dataclass(frozen=True)
class FigureSettings:
    """Draw the figures of image sweeps.

    Attributes:
        storage_path: folder or URI of the sweeps.
        names: the sweeps; the rows of a figure may come from several, a comparison never does.
        out: local folder of the files.
    """

    storage_path: Annotated[str, tyro.conf.Positional]
    names: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME [NAME ...]")
    ]
    out: Path = Path("figures")


@dataclass(frozen=True)
class Written:
    """Files that were written, and by figure what could not be drawn."""

    files: tuple[Path, ...]
    missing: dict[str, tuple[str, ...]]


def write_figures(settings: FigureSettings) -> Written:
    """Write the files.

    Raises:
        RecordsError, StorageError: no name is given, there is no such sweep, or it has no image
            records.
    """
    if not settings.names:
        raise RecordsError("names: none is given; name at least one sweep of the storage path")
    records: list[TrialRecord] = []
    for name in dict.fromkeys(settings.names):
        found = load_records(settings.storage_path, name).records
        own = [item for item in found if task_of(item.record) == IMAGE]
        if not own:
            raise RecordsError(
                f"names: {name!r} in {settings.storage_path!r} has no records of images; give an "
                "image sweep, or python analysis/export.py for another task"
            )
        records += own
    drawn = draw_figure_set(to_frame(records), records)
    settings.out.mkdir(parents=True, exist_ok=True)
    files = []
    for name, chart in drawn.charts.items():
        path = settings.out / f"{name}.png"
        path.write_bytes(chart.png)
        files.append(path)
    captions = settings.out / CAPTIONS
    captions.write_text(_captions(drawn, settings.names))
    return Written((*files, captions), drawn.missing)


def _captions(drawn: FigureSet, names: tuple[str, ...]) -> str:
    lines = [f"# Figures of {', '.join(names)}", ""]
    for name, chart in drawn.charts.items():
        lines += [f"## {chart.title}", "", f"![{chart.title}]({name}.png)", "", chart.caption, ""]
    if drawn.missing:
        lines += ["## Not drawn", ""]
        lines += [f"- {name}: {what}" for name, all_ in drawn.missing.items() for what in all_]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write the files and print their paths; refusals are one line and exit status 2."""
    try:
        written = write_figures(tyro.cli(FigureSettings, description=__doc__))
    except (RecordsError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for path in written.files:
        print(path)
    for name, missing in written.missing.items():
        for what in missing:
            print(f"not drawn, {name}: {what}", file=sys.stderr)


if __name__ == "__main__":
    main()

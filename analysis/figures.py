"""Every figure of one or several image sweeps as PNG files with captions.md beside them.

python analysis/figures.py STORAGE_PATH NAME [NAME ...] --out DIR

A damaged file, or a figure that cannot be drawn, is left out and said in a sentence on standard
error, as is what the records lack for a figure.

exit status: 0 every figure that the records allow was drawn, 2 refused (nothing was written), 3
something was left out since it is damaged.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):
    # Run as a script: the packages of the checkout lie beside this folder, installed or not.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from analysis.image.figure_set import FigureSet, draw_figure_set
from analysis.page import problems_of
from analysis.records import RecordsError, Skipped, TrialRecord, load_records
from analysis.table import IMAGE, task_of, to_frame
from raydistill.console import ExitStatus, prepare_output
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
class WrittenFigures:
    """What was written.

    Attributes:
        files: their paths.
        missing: by figure, what the records lack for it.
        problems: sentences, one for each damaged file and each figure that failed.
    """

    files: tuple[Path, ...]
    missing: dict[str, tuple[str, ...]]
    problems: tuple[str, ...]


def write_figures(settings: FigureSettings) -> WrittenFigures:
    """Write the files.

    Raises:
        RecordsError: no name is given, there is no such sweep, or it has no image records.
        StorageError: the storage path cannot be opened, or `out` cannot be written.
    """
    if not settings.names:
        raise RecordsError("names: none is given; name at least one sweep of the storage path")
    records: list[TrialRecord] = []
    skipped: list[Skipped] = []
    for name in dict.fromkeys(settings.names):
        found = load_records(settings.storage_path, name)
        images = [item for item in found.records if task_of(item.record) == IMAGE]
        if not images:
            raise RecordsError(
                f"names: {name!r} in {settings.storage_path!r} has no records of images; give an "
                "image sweep, or python analysis/export.py for another task"
            )
        records += images
        skipped += found.skipped
    figures = draw_figure_set(to_frame(records), records)
    contents = {f"{name}.png": chart.png for name, chart in figures.charts.items()}
    contents[CAPTIONS] = _captions(figures, settings.names).encode()
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():
            (settings.out / file).write_bytes(content)
    except OSError as error:
        raise StorageError(
            f"out: {str(settings.out)!r} cannot be written ({error.strerror or error}); give a "
            "folder that you can write"
        ) from error
    paths = tuple(settings.out / file for file in contents)
    problems = problems_of([*skipped, *figures.unreadable, *figures.failed])
    return WrittenFigures(paths, figures.missing, problems)


def _captions(figures: FigureSet, names: tuple[str, ...]) -> str:
    lines = [f"# Figures of {markdown_text(', '.join(names))}", ""]
    for name, chart in figures.charts.items():
        title, caption = markdown_text(chart.title), markdown_text(chart.caption)
        lines += [f"## {title}", "", f"![{title}]({name}.png)", "", caption, ""]
    if figures.missing:
        lines += ["## Not drawn", ""]
        lines += [
            f"- {name}: {markdown_text(what)}"
            for name, reasons in figures.missing.items()
            for what in reasons
        ]
        lines.append("")
    return "\n".join(lines)


def markdown_text(text: str) -> str:
    r"""A text that Markdown shows as it is, in one line.

    Example:
        >>> print(markdown_text("a[b] of $x"))
        a\[b\] of \$x
    """
    return re.sub(r"([\\`*\[\]<>$])", r"\\\1", " ".join(text.split()))


def main() -> None:
    """Write the files and print their paths; refusals are one line and exit status 2."""
    prepare_output()
    try:
        written = write_figures(tyro.cli(FigureSettings, description=__doc__))
    except (RecordsError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.REFUSED)
    for path in written.files:
        print(path)
    for name, reasons in written.missing.items():
        for what in reasons:
            print(f"not drawn, {name}: {what}", file=sys.stderr)
    for problem in written.problems:
        print(problem, file=sys.stderr)
    if written.problems:
        sys.exit(ExitStatus.SOME_FAILED)


if __name__ == "__main__":
    main()

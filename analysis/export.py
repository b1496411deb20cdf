"""The figures of one sweep as PNG files, for a README or a paper, and its metrics as tables.

python analysis/export.py STORAGE_PATH NAME --out docs/images

A damaged file, or a figure that cannot be drawn, is left out and said in a sentence on standard
error.

exit status: 0 everything was written, 2 refused (nothing was written), 3 something was left out.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):
    # Run as a script: the packages of the checkout lie beside this folder, installed or not.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
import tyro

from analysis.charts import blank_figure, figure_png, plain_text
from analysis.gaussian import page as gaussian_page
from analysis.image.figure_set import draw_figure_set
from analysis.image.pictures import pixels, read_png, with_picture
from analysis.image.summary import summary
from analysis.page import ExportedFiles, problems_of, significant
from analysis.parts import PartMaker, error_words
from analysis.records import RecordsError, RecordSet, Skipped, TrialRecord, load_records
from analysis.table import GAUSSIAN, VOCODER, measure_of, ranked, task_of, to_frame
from analysis.vocoder import page as vocoder_page
from raydistill.console import ExitStatus, prepare_output
from raydistill.store.storage import StorageError


@dataclass(frozen=True)
class ExportSettings:
    """Write a sweep's figures as PNG files, and the metrics of an image or a vocoder sweep as CSV.

    Those of images are written as Parquet too.

    Attributes:
        storage_path: folder or URI of the sweeps.
        name: the sweep.
        out: local folder of the files.
    """

    storage_path: Annotated[str, tyro.conf.Positional]
    name: Annotated[str, tyro.conf.Positional]
    out: Path = Path("figures")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        paths: of the files.
        problems: sentences, one for each damaged file and each figure that was left out.
    """

    paths: tuple[Path, ...]
    problems: tuple[str, ...]


def export(settings: ExportSettings) -> Exported:
    """Write the files.

    Raises:
        RecordsError: there is no such sweep, it has no records, or they cannot be evaluated.
        StorageError: the storage path cannot be opened, or `out` cannot be written.
    """
    found = load_records(settings.storage_path, settings.name)
    if not found.records:
        raise RecordsError(
            f"name: no records of {settings.name!r} in {settings.storage_path!r}; run the sweep, "
            "or give another name"
        )
    makers = {VOCODER: vocoder_page.files, GAUSSIAN: gaussian_page.files}
    try:
        made = makers.get(task_of(found.records[0].record), _image_files)(found)
    except Exception as error:  # a sweep of records of ours never gets here
        raise RecordsError(
            f"name: the records of {settings.name!r} cannot be evaluated ({error_words(error)}); "
            "python analysis/report.py names those that are damaged"
        ) from error
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
        for name, content in made.contents.items():
            (settings.out / name).write_bytes(content)
    except OSError as error:
        raise StorageError(
            f"out: {str(settings.out)!r} cannot be written ({error.strerror or error}); give a "
            "folder that you can write"
        ) from error
    paths = tuple(settings.out / name for name in made.contents)
    return Exported(paths, problems_of([*found.skipped, *made.left_out]))


def _image_files(found: RecordSet) -> ExportedFiles:
    """Every figure of the page, the four pictures side by side, and the summary as two tables."""
    frame = to_frame(found)
    figures = draw_figure_set(frame, found.records)
    parts = PartMaker()
    contents = {f"{name}.png": chart.png for name, chart in figures.charts.items()}
    unreadable = list(figures.unreadable)
    sheet = parts.make(
        "the sheet of samples", lambda: sample_sheet(frame, found.records, unreadable), None
    )
    if sheet is not None:
        contents["samples.png"] = sheet
    table = parts.make("the table of metrics", lambda: summary(frame), pd.DataFrame())
    if len(table):
        contents["image_metrics.csv"] = table.to_csv(index=False).encode()
        contents["image_metrics.parquet"] = table.to_parquet(index=False)
    return ExportedFiles(contents, (*dict.fromkeys(unreadable), *figures.failed, *parts.failed))


@plain_text
def sample_sheet(
    frame: pd.DataFrame, records: tuple[TrialRecord, ...], unreadable: list[Skipped]
) -> bytes | None:
    """Data, teacher, the best student without noise and the best with it, side by side.

    Best is by the validation split; both are of one teacher, one kind of student and one objective.
    None where one of the two, or its picture, is missing.
    """
    order = ranked(with_picture(frame, records, "samples"))
    noisy = order[order["noise_level"] > 0.0]
    if noisy.empty:
        return None
    quiet = order[order["noise_level"] == 0.0]
    for name in ("teacher", "student", "objective"):
        quiet = quiet[quiet[name] == noisy.iloc[0][name]]
    if quiet.empty:
        return None
    first = quiet.iloc[0]["record"]
    shown = [("data", "data", first), ("teacher", "teacher", first)]
    for row in (quiet.iloc[0], noisy.iloc[0]):
        cell = f"noise {row['noise_level']:.2g}, l1 weight {row['l1_weight']:.2g}"
        name = measure_of(frame).removeprefix("validation.")
        fd = f"{name.replace('_fd', ' FD')} {significant(row.get(f'test.{name}'))}"
        shown.append((f"student, {cell}\n{fd}", "samples", row["record"]))
    contents = [read_png(records[index], name, unreadable) for _, name, index in shown]
    if not all(contents):
        return None
    figure = blank_figure(12.0, 3.5)
    axes = figure.subplots(1, len(shown))
    for axis, (title, _, _), content in zip(axes, shown, contents, strict=True):
        axis.imshow(pixels(content), cmap="gray", vmin=0.0, vmax=1.0)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    return figure_png(figure)


def main() -> None:
    """Write the files and print their paths; refusals are one line and exit status 2."""
    prepare_output()
    try:
        exported = export(tyro.cli(ExportSettings, description=__doc__))
    except (RecordsError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.REFUSED)
    for path in exported.paths:
        print(path)
    for problem in exported.problems:
        print(problem, file=sys.stderr)
    if exported.problems:
        sys.exit(ExitStatus.SOME_FAILED)


if __name__ == "__main__":
    main()

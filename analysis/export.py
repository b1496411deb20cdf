"""The figures of one sweep as PNG files, for a README or a paper, and its metrics as tables.

python analysis/export.py STORAGE_PATH NAME --out docs/images
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):
    # Run as a script: the repository's packages lie beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
import tyro

from analysis.charts import blank_figure, figure_png
from analysis.gaussian.figures import named_charts
from analysis.gaussian.study import read_gaussian_study
from analysis.image.figure_set import draw_figure_set
from analysis.image.pictures import pixels, read_png, with_picture
from analysis.image.summary import summary
from analysis.page import significant
from analysis.records import RecordsError, RecordSet, TrialRecord, load_records
from analysis.table import GAUSSIAN, VOCODER, measure_of, ranked, task_of, to_frame
from analysis.vocoder import page as vocoder_page
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


def export(settings: ExportSettings) -> list[Path]:
    """Write the files and return their paths.

    Raises:
        RecordsError, StorageError: there is no such sweep, or it has no records.
    """
    found = load_records(settings.storage_path, settings.name)
    if not found.records:
        raise RecordsError(
            f"name: no records of {settings.name!r} in {settings.storage_path!r}; run the sweep, "
            "or give another name"
        )
    task = task_of(found.records[0].record)
    if task == VOCODER:
        contents = vocoder_page.files(found)
    elif task == GAUSSIAN:
        contents = {f"{name}.png": content for name, content in _gaussian_figures(found).items()}
    else:
        contents = _image_files(found)
    settings.out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in contents.items():
        path = settings.out / name
        path.write_bytes(content)
        written.append(path)
    return written


def _image_files(found: RecordSet) -> dict[str, bytes]:
    """Every figure of the page, the four pictures side by side, and the summary as two tables."""
    frame = to_frame(found)
    charts = draw_figure_set(frame, found.records).charts
    contents = {f"{name}.png": chart.png for name, chart in charts.items()}
    sheet = sample_sheet(frame, found.records)
    if sheet is not None:
        contents["samples.png"] = sheet
    table = summary(frame)
    if len(table):
        contents["image_metrics.csv"] = table.to_csv(index=False).encode()
        contents["image_metrics.parquet"] = table.to_parquet(index=False)
    return contents


def _gaussian_figures(found: RecordSet) -> dict[str, bytes]:
    """Every figure of the page; those of several kinds of teacher are numbered from the second."""
    return {
        name if place == 0 else f"{name}_{place + 1}": chart.png
        for name, made in named_charts(read_gaussian_study(found)).items()
        for place, chart in enumerate(made)
    }


def sample_sheet(frame: pd.DataFrame, records: tuple[TrialRecord, ...]) -> bytes | None:
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
    # What cannot be read is reported by the page.
    contents = [read_png(records[index], name, []) for _, name, index in shown]
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
    try:
        for path in export(tyro.cli(ExportSettings, description=__doc__)):
            print(path)
    except (RecordsError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

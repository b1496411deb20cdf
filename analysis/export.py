"""The figures of one sweep as PNG files, for a README or a paper; of a vocoder the table too.

python analysis/export.py STORAGE_PATH NAME --out docs/images
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):
    # Run as a script: the repository's packages lie beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
import tyro
from matplotlib.figure import Figure
from matplotlib.image import imread

from analysis.gaussian.figures import named_charts
from analysis.gaussian.study import read_study
from analysis.image.figures import learning_charts, noise_charts
from analysis.records import RecordsError, RecordSet, TrialRecord, load_records
from analysis.table import GAUSSIAN, VOCODER, ranked, task_of, to_frame
from analysis.vocoder import page as vocoder_page
from raydistill.storage import StorageError


@dataclass(frozen=True)
class ExportSettings:
    """Write a sweep's figures as PNG files, and the metrics of a vocoder sweep as a CSV file.

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
    else:
        figures = _gaussian_figures(found) if task == GAUSSIAN else _image_figures(found)
        contents = {f"{name}.png": content for name, content in figures.items()}
    settings.out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in contents.items():
        path = settings.out / name
        path.write_bytes(content)
        written.append(path)
    return written


def _image_figures(found: RecordSet) -> dict[str, bytes]:
    frame = to_frame(found)
    charts = {
        "noise_injection": noise_charts(frame, found.records),
        "learning_curves": learning_charts(frame, found.records),
    }
    contents = {name: made[0].png for name, made in charts.items() if made}
    sheet = sample_sheet(frame, found.records)
    return contents if sheet is None else contents | {"samples": sheet}


def _gaussian_figures(found: RecordSet) -> dict[str, bytes]:
    """Every figure of the page; those of several kinds of teacher are numbered from the second."""
    return {
        name if place == 0 else f"{name}_{place + 1}": chart.png
        for name, made in named_charts(read_study(found)).items()
        for place, chart in enumerate(made)
    }


def sample_sheet(frame: pd.DataFrame, records: tuple[TrialRecord, ...]) -> bytes | None:
    """Data, teacher, the best student without noise and the best with it, side by side.

    Best is by the validation split. None where one of the two kinds of student is missing.
    """
    order = ranked(frame[frame["status"] == "finished"])
    quiet, noisy = order[order["noise_level"] == 0.0], order[order["noise_level"] > 0.0]
    if quiet.empty or noisy.empty:
        return None
    best = {row["noise_level"]: row for row in (quiet.iloc[0], noisy.iloc[0])}
    first = quiet.iloc[0]["record"]
    shown = [("data", "data", first), ("teacher", "teacher", first)]
    for row in best.values():
        cell = f"noise {row['noise_level']:.2g}, l1 weight {row['l1_weight']:.2g}"
        fd = f"classifier FD {row['test.classifier_fd']:.0f}"
        shown.append((f"student, {cell}\n{fd}", "samples", row["record"]))
    figure = Figure(figsize=(12.0, 3.5), layout="constrained", dpi=110)
    for axis, (title, name, index) in zip(figure.subplots(1, len(shown)), shown, strict=True):
        item = records[index]
        picture = imread(io.BytesIO(item.folder.read(item.record.artefacts[name])))
        axis.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


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

"""One self-contained HTML page a sweep: table, figures, claims, pictures.

python analysis/report.py STORAGE_PATH [--name NAME | --latest] [--out PATH]
"""

from __future__ import annotations

import base64
import json
import math
import posixpath
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Annotated, Any

if __package__ in (None, ""):
    # Run as a script: the repository's packages lie beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jinja2
import pandas as pd
import tyro
from pyarrow import fs

from analysis.claims import MATCHED, Effect, judge
from analysis.figures import learning_charts, noise_charts
from analysis.records import (
    RANKED_BY,
    RecordsError,
    RecordSet,
    Skipped,
    TrialRecord,
    comparable_groups,
    data_of,
    load_records,
    plural,
    ranked,
    to_frame,
)
from raydistill.record import FILE_NAME
from raydistill.storage import Storage, StorageError

PAGE, TEMPLATE = "report.html", "report.html.j2"
MOST_STUDENTS = 8
REFUSED = 2
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ABSENT = "–"

DESCRIBING = ("dataset", "size", "student", "objective")
"""Columns that are shown only where the trials of a sweep differ in them."""


@dataclass(frozen=True)
class ReportSettings:
    """Write STORAGE_PATH/NAME/report.html for each sweep, and print where.

    Attributes:
        storage_path: folder or URI (s3://bucket/path) that the sweeps were run with.
        name: the one sweep to report on; by default all.
        latest: only the sweep that was written to last.
        out: where to write the page instead; for one sweep only.
    """

    storage_path: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STORAGE_PATH")]
    name: str | None = None
    latest: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    out: str | None = None


@dataclass(frozen=True)
class TeacherFacts:
    """A teacher's key, data and floors, with a warning if it is no better than a Gaussian."""

    key: str
    data: str
    reference: dict[str, dict[str, float]]
    warning: str


@dataclass(frozen=True)
class Embedded:
    """A picture inside the page."""

    title: str
    uri: str
    caption: str


@dataclass(frozen=True)
class Ran:
    """An environment, and how many trials ran in it."""

    count: int
    values: dict[str, str]


def main() -> None:
    """The command line: refusals are one line on standard error and exit status 2."""
    settings = tyro.cli(ReportSettings, prog="report", description=__doc__)
    try:
        for path in write_reports(settings):
            print(path)
    except (RecordsError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(REFUSED)


def write_reports(settings: ReportSettings) -> Iterator[str]:
    """Write the pages that are asked for, one after the other; yields where each lies.

    Raises:
        RecordsError: nothing to report on, or contradictory settings.
        StorageError: the storage path cannot be opened or a page cannot be written.
    """
    if settings.latest and settings.name is not None:
        raise RecordsError(f"latest: contradicts --name {settings.name}; give one of the two")
    found = load_records(settings.storage_path, settings.name)
    if not found.records:
        raise RecordsError(_nothing_found(found))
    names = list(dict.fromkeys(item.sweep.name for item in found.records))
    if settings.latest:
        names = [_latest(found)]
    if settings.out is not None and len(names) > 1:
        raise RecordsError(
            f"out: {settings.out!r} is one page for {len(names)} sweeps; add --name with one of "
            f"{', '.join(names)}"
        )
    for name in names:
        part = found.of(name)
        folder, file = part.records[0].sweep.folder, PAGE
        if settings.out is not None:
            parent, file = posixpath.split(settings.out)
            folder = Storage.open(parent or ".")
        place = posixpath.join(folder.uri, file)
        try:
            folder.write(file, render(part).encode())
        except OSError as error:
            raise StorageError(
                f"out: {place!r} cannot be written ({error.strerror or error}); give --out with a "
                "file in a folder that you can write"
            ) from error
        yield place


def _nothing_found(found: RecordSet) -> str:
    storage = found.storage
    if any(storage.child(name).exists(FILE_NAME) for name in storage.names()):
        parent, name = posixpath.split(storage.uri)
        return f"storage_path: {storage.uri!r} is itself a sweep; give {parent} --name {name}"
    reason = "no records in it"
    if found.skipped:
        first = found.skipped[0]
        reason = f"no readable record in it; the first of {len(found.skipped)} unreadable files is "
        reason += f"{first.path}: {first.reason}"
    return f"storage_path: {storage.uri!r} has {reason}; run a sweep with this --storage-path first"


def _latest(found: RecordSet) -> str:
    """The name of the sweep whose records are newest."""
    uri = found.storage.uri
    local = found.storage.local_path is not None
    filesystem, base = (fs.LocalFileSystem(), uri) if local else fs.FileSystem.from_uri(uri)
    files = [f"{base}{item.folder.uri.removeprefix(uri)}/{FILE_NAME}" for item in found.records]
    times = [info.mtime_ns or 0 for info in filesystem.get_file_info(files)]
    newest = max(range(len(files)), key=times.__getitem__)
    return found.records[newest].sweep.name


def render(found: RecordSet) -> str:
    """The page of one sweep."""
    records, sweep = found.records, found.records[0].sweep
    frame = to_frame(found)
    order = ranked(frame)
    noise = noise_charts(frame, records)
    unreadable: list[Skipped] = []
    pictures = list(_pictures(order, records, unreadable))
    filled = {name for name in frame if bool(frame[name].notna().any())}
    alike = {name for name in DESCRIBING if frame[name].nunique(dropna=False) == 1}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (decimals, significant, effect, plural):
        environment.filters[function.__name__] = function
    return environment.get_template(TEMPLATE).render(
        sweep=sweep.name,
        place=sweep.folder.uri,
        data=sorted({data_of(row) for _, row in frame.iterrows()}),
        teachers=_teachers(found),
        rows=order.to_dict("records"),
        columns=filled - alike,
        cells=_cells(frame),
        charts=[
            Embedded(chart.title, _data_uri(chart.png), chart.caption)
            for chart in (*noise, *learning_charts(frame, records))
        ],
        has_noise_axis=bool(noise),
        verdicts=judge(frame),
        pictures=pictures,
        skipped=[*found.skipped, *unreadable],
        settings=dict(sweep.settings),
        environments=_environments(found),
    )


def decimals(value: Any, digits: int) -> str:
    """A number with that many decimals; a dash if there is none."""
    if not isinstance(value, Real) or not math.isfinite(value):
        return ABSENT
    return f"{value:.{digits}f}".replace("-", "−")


def significant(value: Any, *, trim: bool = True) -> str:
    """A number with three significant digits, never in powers of ten; a dash if there is none."""
    if not isinstance(value, Real) or not math.isfinite(value):
        return ABSENT
    places = 2 - math.floor(math.log10(abs(value))) if value else 2
    text = decimals(value, min(max(places, 0), 6))
    return text.rstrip("0").rstrip(".") if trim and "." in text else text


def effect(value: Effect) -> str:
    """A difference with its sign and interval."""
    ends = (value.mean, value.low, value.high)
    mean, low, high = (significant(end, trim=False) for end in ends)
    mean = f"+{mean}" if value.mean > 0.0 else mean
    return mean if low == ABSENT else f"{mean} [{low}, {high}] ({100.0 * value.coverage:.3g}%)"


def _teachers(found: RecordSet) -> list[TeacherFacts]:
    known: dict[str, TeacherFacts] = {}
    for item, (_, row) in zip(found.records, to_frame(found).iterrows(), strict=True):
        record = item.record
        if not record.reference or record.teacher in known:
            continue
        bits = record.reference.get("bits_per_dimension", {})
        own, gaussian = bits.get("teacher", math.nan), bits.get("full_gaussian", math.nan)
        warning = ""
        if own >= gaussian:
            warning = (
                f"The teacher's {own:.3f} bits/dim are no better than the {gaussian:.3f} of a "
                "full-covariance Gaussian: what students learn from it says little."
            )
        facts = TeacherFacts(record.teacher, data_of(row), record.reference, warning)
        known[record.teacher] = facts
    return list(known.values())


def _cells(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """`METRIC.mean` and `METRIC.std` over seeds, where cells have several; best first."""
    cells: list[dict[str, Any]] = []
    metrics = [str(name) for name in frame if str(name).startswith(("validation.", "test."))]
    for group in comparable_groups(frame[frame["status"] == "finished"], "rest", "teacher"):
        for _, cell in group.groupby(["noise_level", "l1_weight"]):
            first, over_seeds = cell.iloc[0], cell.groupby("seed")[metrics].mean()
            found = {name: first[name] for name in ("noise_level", "l1_weight")}
            found |= {f"{m}.{f}": over_seeds[m].agg(f) for m in metrics for f in ("mean", "std")}
            cells.append(found | {"seeds": len(over_seeds)})
    if not any(cell["seeds"] > 1 for cell in cells):
        return []
    return sorted(cells, key=lambda cell: cell.get(f"{RANKED_BY}.mean", math.inf))


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _pictures(
    order: pd.DataFrame, records: tuple[TrialRecord, ...], unreadable: list[Skipped]
) -> Iterator[Embedded]:
    """Data, teacher, students in order of rank, and reconstructions of the best."""
    shown = order[[bool(records[i].record.artefacts) for i in order.index]]
    shown = shown[shown["status"] != "failed"]
    if shown.empty:
        return
    cell = ["dataset", "size", "student", "objective", "noise_level", "l1_weight", "budget"]
    best = shown.drop_duplicates(cell)
    noisy = best["noise_level"] > 0.0
    # Whatever the rank, the two arms of the question are seen side by side.
    musts = [*best.index[noisy][:1], *best.index[~noisy][:1]]
    chosen = set([*musts, *(i for i in best.index if i not in musts)][:MOST_STUDENTS])
    first = int(best.index[0])
    ranks = {i: f"{rank}. " for rank, i in enumerate(order.index[order["status"] == "finished"], 1)}
    wanted = [(first, "data", "Data", "test images"), (first, "teacher", "Teacher", "own samples")]
    for i in best.index:
        if i not in chosen:
            continue
        row = order.loc[i]
        title, caption = f"{ranks.get(i, '')}{row['trial']}", _cell_caption(row)
        wanted.append((i, "samples", title, caption))
        if i in best.index[noisy][:1]:
            matched = f"{_cell_caption(row, MATCHED)}, at prior scale sqrt(1 + noise²)"
            wanted.append((i, f"samples{MATCHED}", title, matched))
    rebuilt = f"test images, each followed by its reconstruction; {_cell_caption(order.loc[first])}"
    wanted.append((first, "reconstructions", "Reconstructions of the best", rebuilt))
    for i, name, title, caption in wanted:
        item = records[i]
        png = _read_png(item, name, unreadable)
        if png:
            yield Embedded(title, _data_uri(png), caption)


def _cell_caption(row: Any, suffix: str = "") -> str:
    names = {"noise_level": "noise", "l1_weight": "l1 weight", "seed": "seed"}
    names |= {f"test.classifier_fd{suffix}": "test FD"}
    shown = {label: significant(row.get(name)) for name, label in names.items()}
    parts = [f"{label} {text}" for label, text in shown.items() if text != ABSENT]
    return ", ".join([row["objective"], *parts])


def _read_png(item: TrialRecord, name: str, unreadable: list[Skipped]) -> bytes:
    """A picture of a trial; empty, and reported, if it is not one."""
    path = item.record.artefacts.get(name)
    if path is None:
        return b""
    reason = "not a PNG picture"
    # A record may come from elsewhere: its paths do not lead out of its folder.
    if posixpath.isabs(path) or ".." in path.split("/") or "://" in path:
        reason = "outside the trial's folder"
    else:
        try:
            content = item.folder.read(path)
        except OSError as error:
            content, reason = b"", " ".join(str(error).split())
        if content.startswith(PNG_SIGNATURE):
            return content
    where = posixpath.join(item.sweep.name, posixpath.basename(item.folder.uri), path)
    unreadable.append(Skipped(item.sweep.name, where, reason))
    return b""


def _environments(found: RecordSet) -> list[Ran]:
    records = [item.record for item in found.records]
    ran = [
        {**r.environment, "device": r.spent.device, "workers": str(r.spent.workers)}
        for r in records
    ]
    counts = Counter(json.dumps(values, sort_keys=True) for values in ran)
    return [Ran(count, json.loads(values)) for values, count in counts.most_common()]


if __name__ == "__main__":
    main()

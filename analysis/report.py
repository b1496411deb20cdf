"""One self-contained HTML page a sweep: table, figures, claims, pictures, sounds.

python analysis/report.py STORAGE_PATH [--name NAME | --latest] [--out PATH]

Pages are made one by one. A damaged file, or a part of a page that cannot be made, is left out,
named on the page, and said in a sentence on standard error.

exit status: 0 all pages are whole, 2 refused (nothing was written), 3 some page lacks something or
could not be made, 4 no page could be made.
"""

from __future__ import annotations

import posixpath
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

if __package__ in (None, ""):
    # Run as a script: the packages of the checkout lie beside this folder, installed or not.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from analysis.gaussian import page as gaussian_page
from analysis.gaussian.study import read_gaussian_study
from analysis.image import page as image_page
from analysis.page import Rendered, fill_template
from analysis.parts import error_words
from analysis.records import RecordsError, RecordSet, Skipped, TrialRecord, load_records
from analysis.table import GAUSSIAN, IMAGE, VOCODER, task_of, to_frame
from analysis.vocoder import page as vocoder_page
from analysis.vocoder.study import read_vocoder_study
from raydistill.console import ExitStatus, prepare_output
from raydistill.record import FILE_NAME
from raydistill.store.storage import Storage, StorageError

PAGE = "report.html"


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
class SweepReport:
    """What came of the page of one sweep.

    Attributes:
        name: of the sweep; empty for files that belong to none.
        place: where the page lies; empty if it could not be made.
        problems: sentences, one for whatever was left out of it.
    """

    name: str
    place: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Page:
    """How the page of a task is made: its template, what it asks for, what all of that rests on."""

    template: str
    values: Callable[[RecordSet], dict[str, Any]]
    read: Callable[[RecordSet], object]


PAGES = {
    GAUSSIAN: _Page(gaussian_page.TEMPLATE, gaussian_page.values, read_gaussian_study),
    VOCODER: _Page(vocoder_page.TEMPLATE, vocoder_page.values, read_vocoder_study),
    IMAGE: _Page(image_page.TEMPLATE, image_page.values, to_frame),
}
"""A task of the user's own has the page of images, whose tables any trial can fill."""


def main() -> None:
    """The command line: refusals are one line on standard error and exit status 2."""
    prepare_output()
    settings = tyro.cli(ReportSettings, prog="report", description=__doc__)
    made, failed = 0, False
    try:
        for report in write_reports(settings):
            if report.place:
                print(report.place)
                made += 1
            for problem in report.problems:
                print(f"{report.name}: {problem}" if report.name else problem, file=sys.stderr)
                failed = True
    except (RecordsError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.REFUSED)
    if failed:
        sys.exit(ExitStatus.SOME_FAILED if made else ExitStatus.ALL_FAILED)


def write_reports(settings: ReportSettings) -> Iterator[SweepReport]:
    """Write the pages that are asked for, one after the other.

    Raises:
        RecordsError: nothing to report on, or contradictory settings.
        StorageError: the storage path cannot be opened, or the page of `out` cannot be written.
    """
    if settings.latest and settings.name is not None:
        raise RecordsError(f"latest: contradicts --name {settings.name}; give one of the two")
    found = load_records(settings.storage_path, settings.name)
    if not found.records:
        raise RecordsError(_nothing_found(found))
    with_records = list(dict.fromkeys(item.sweep.name for item in found.records))
    names = list(dict.fromkeys([*with_records, *(one.sweep for one in found.skipped)]))
    if settings.latest:
        names = [_latest(found)]
    if settings.out is not None and len(with_records) > 1 and not settings.latest:
        raise RecordsError(
            f"out: {settings.out!r} is one page for {len(with_records)} sweeps; add --name with "
            f"one of {', '.join(with_records)}"
        )
    for name in names:
        part = found.of(name)
        problems = tuple(str(one) for one in part.skipped if one.damaged)
        if part.records:
            yield _write(part, settings.out)
        elif problems:
            without_page = "no page is made, since no record of it can be read"
            yield SweepReport(name, "", (*problems, without_page) if name else problems)


def _write(found: RecordSet, out: str | None) -> SweepReport:
    """Write one page; what goes wrong with it is said, and does not keep others from theirs."""
    sweep = found.records[0].sweep
    folder, file = sweep.folder, PAGE
    if out is not None:
        folder, file = Storage.open_parent(out)
    place = folder.child(file).uri
    try:
        rendered = render(found)
    except Exception as error:  # noqa: BLE001 - a sweep of records of ours never gets here
        problems = [str(one) for one in found.skipped if one.damaged]
        return SweepReport(sweep.name, "", (*problems, f"no page is made: {error_words(error)}"))
    try:
        folder.write(file, rendered.html.encode())
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        if out is None:
            problem = f"{place} cannot be written ({reason}); give --name and --out"
            return SweepReport(sweep.name, "", (*rendered.problems, problem))
        raise StorageError(
            f"out: {place!r} cannot be written ({reason}); give --out with a file in a folder "
            "that you can write"
        ) from error
    return SweepReport(sweep.name, place, rendered.problems)


def render(found: RecordSet) -> Rendered:
    """The page of one sweep, as the task of most of its records asks for."""
    tasks = Counter(_page_of(item) for item in found.records)
    task = max(tasks, key=tasks.__getitem__)
    page = PAGES[task]
    found = _without_foreign(found, task, page)
    return fill_template(page.template, found, page.values(found))


def _page_of(item: TrialRecord) -> str:
    task = task_of(item.record)
    return task if task in PAGES else IMAGE


def _without_foreign(found: RecordSet, task: str, page: _Page) -> RecordSet:
    """The records without those that the page cannot be made from; they are listed as skipped.

    Raises:
        Exception: whatever makes the page impossible although each record alone can be read.
    """
    kept = [item for item in found.records if _page_of(item) == task]
    foreign = [
        _skipped(item, f"a trial of {task_of(item.record)!r} among trials of {task!r}")
        for item in found.records
        if _page_of(item) != task
    ]
    found = replace(found, records=tuple(kept), skipped=(*found.skipped, *foreign))
    try:
        page.read(found)
    except Exception:
        readable, unreadable = [], []
        for item in kept:
            try:
                page.read(replace(found, records=(item,)))
                readable.append(item)
            except Exception as error:  # noqa: BLE001 - said on the page
                unreadable.append(_skipped(item, f"cannot be evaluated: {error_words(error)}"))
        if not readable or not unreadable:
            raise
        skipped = (*found.skipped, *unreadable)
        return replace(found, records=tuple(readable), skipped=skipped)
    return found


def _skipped(item: TrialRecord, reason: str) -> Skipped:
    where = posixpath.join(item.sweep.name, item.folder.name, FILE_NAME)
    return Skipped(item.sweep.name, where, reason)


def _nothing_found(found: RecordSet) -> str:
    storage = found.storage
    if any(storage.child(name).exists(FILE_NAME) for name in storage.names()):
        above = (storage.parent or storage).uri
        return (
            f"storage_path: {storage.uri!r} is itself a sweep; give {above} --name {storage.name}"
        )
    reason = "no records in it"
    if found.skipped:
        first = found.skipped[0]
        reason = f"no readable record in it; the first of {len(found.skipped)} unreadable files is "
        reason += f"{first.path}: {first.reason}"
    return f"storage_path: {storage.uri!r} has {reason}; run a sweep with this --storage-path first"


def _latest(found: RecordSet) -> str:
    """The name of the sweep whose records are newest."""
    return max(found.records, key=lambda item: item.folder.modified(FILE_NAME)).sweep.name


if __name__ == "__main__":
    main()

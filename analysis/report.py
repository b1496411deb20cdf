"""One self-contained HTML page a sweep: table, figures, claims, pictures, sounds.

python analysis/report.py STORAGE_PATH [--name NAME | --latest] [--out PATH]
"""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):
    # Run as a script: the repository's packages lie beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro
from pyarrow import fs

from analysis.gaussian import page as gaussian_page
from analysis.image import page as image_page
from analysis.page import fill_template
from analysis.records import RecordsError, RecordSet, load_records
from analysis.table import GAUSSIAN, VOCODER, task_of
from analysis.vocoder import page as vocoder_page
from raydistill.record import FILE_NAME
from raydistill.store.storage import Storage, StorageError

PAGE = "report.html"
REFUSED = 2


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


def render(found: RecordSet) -> str:
    """The page of one sweep, as its task asks for."""
    task = task_of(found.records[0].record)
    if task == GAUSSIAN:
        return fill_template(gaussian_page.TEMPLATE, found, gaussian_page.values(found))
    if task == VOCODER:
        return fill_template(vocoder_page.TEMPLATE, found, vocoder_page.values(found))
    return fill_template(image_page.TEMPLATE, found, image_page.values(found))


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


if __name__ == "__main__":
    main()

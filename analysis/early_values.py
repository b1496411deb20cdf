"""How well early validation values predict final ones, on which early stopping would depend.

python analysis/early_values.py STORAGE_PATH NAME

A damaged record is left out and said in a sentence on standard error.

exit status: 0 all records were read, 2 refused, 3 some records were left out.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __package__ in (None, ""):
    # Run as a script: the packages of the checkout lie beside this folder, installed or not.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
import tyro

from analysis.effects import rank_correlation
from analysis.page import problems_of
from analysis.records import RecordsError, load_records
from analysis.table import curve, to_frame
from raydistill.console import ExitStatus, prepare_output
from raydistill.store.storage import StorageError

CELL = ["noise_level", "l1_weight"]
METRIC = "classifier_fd"


@dataclass(frozen=True)
class EarlyValuesSettings:
    """Compare early validation values with final ones.

    Attributes:
        storage_path: folder or URI of the sweeps.
        name: the sweep.
    """

    storage_path: Annotated[str, tyro.conf.Positional]
    name: Annotated[str, tyro.conf.Positional]


@dataclass(frozen=True)
class EarlyValues:
    """Validation values of a sweep.

    Attributes:
        table: of every finished trial, a row each by cell and trial, a column an evaluation (by
            its updates).
        problems: sentences, one for each damaged record that was left out.
    """

    table: pd.DataFrame
    problems: tuple[str, ...]


def read_early_values(settings: EarlyValuesSettings) -> EarlyValues:
    """Validation classifier-FD of every finished trial at each of its evaluations.

    Raises:
        RecordsError: there is no such sweep, no trial of it has finished, or its trials had no
            classifier.
        StorageError: the storage path cannot be opened.
    """
    found = load_records(settings.storage_path, settings.name)
    frame = to_frame(found)
    rows = {}
    for _, row in frame.iterrows():
        record = found.records[row["record"]].record
        if record.status != "finished":
            continue
        values = {u: v for u, v in curve(record, row["replica"], METRIC) if math.isfinite(v)}
        if not values:
            raise RecordsError(
                f"name: {settings.name!r} has trials without a classifier, which measure no "
                f"{METRIC}; give a sweep of data with classes"
            )
        cell = (0.0 if pd.isna(row[name]) else row[name] for name in CELL)
        rows[(*cell, f"{record.trial} {row['replica'] or ''}".strip())] = values
    if not rows:
        raise RecordsError(f"name: no trial of {settings.name!r} has finished; let the sweep end")
    table = pd.DataFrame.from_dict(rows, orient="index").sort_index(axis=1)
    table.index = pd.MultiIndex.from_tuples(table.index, names=[*CELL, "trial"])
    return EarlyValues(table, problems_of(found.skipped))


def rank_correlations(table: pd.DataFrame) -> dict[int, float]:
    """Spearman's correlation over trials of the values at each evaluation with the last ones."""
    final = table[table.columns[-1]]
    return {
        int(updates): rank_correlation(table[updates], final).value
        for updates in table.columns[:-1]
    }


def main() -> None:
    """Print means by cell and rank correlations; refusals are one line and exit status 2."""
    prepare_output()
    try:
        found = read_early_values(tyro.cli(EarlyValuesSettings, description=__doc__))
    except (RecordsError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(ExitStatus.REFUSED)
    table = found.table
    print(f"validation {METRIC} by updates, mean over seeds")
    print(table.groupby(level=CELL).mean().round(1).to_string())
    for updates, correlation in rank_correlations(table).items():
        print(f"rank correlation of {updates} with {table.columns[-1]} updates: {correlation:.2f}")
    for problem in found.problems:
        print(problem, file=sys.stderr)
    if found.problems:
        sys.exit(ExitStatus.SOME_FAILED)


if __name__ == "__main__":
    main()

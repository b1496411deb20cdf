"""How well early validation values foretell final ones: what early stopping would go by.

python analysis/early_values.py STORAGE_PATH NAME
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
from scipy import stats

from analysis.records import RecordsError, load_records
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


def early_values(settings: EarlyValuesSettings) -> pd.DataFrame:
    """Validation classifier-FD of every finished trial: a row each, a column an evaluation.

    Raises:
        RecordsError, StorageError: there is no such sweep, no trial of it has finished, or its
            trials had no classifier.
    """
    rows = {}
    for item in load_records(settings.storage_path, settings.name).records:
        if item.record.status == "finished":
            if METRIC not in item.record.metrics("validation"):
                raise RecordsError(
                    f"name: {settings.name!r} has trials without a classifier, which measure no "
                    f"{METRIC}; give a sweep of data with classes"
                )
            objective = item.record.config["objective"]
            cell = tuple(objective.get(field, 0.0) for field in CELL)
            rows[(*cell, item.record.trial)] = {
                evaluation.updates: evaluation.metrics[METRIC]
                for evaluation in item.record.history
                if evaluation.split == "validation"
            }
    if not rows:
        raise RecordsError(f"name: no trial of {settings.name!r} has finished; let the sweep end")
    table = pd.DataFrame.from_dict(rows, orient="index").sort_index(axis=1)
    table.index = pd.MultiIndex.from_tuples(table.index, names=[*CELL, "trial"])
    return table


def rank_correlations(table: pd.DataFrame) -> dict[int, float]:
    """Spearman's correlation over trials of the values at each evaluation with the last ones."""
    final = table[table.columns[-1]]
    return {
        int(updates): float(stats.spearmanr(table[updates], final).statistic)
        for updates in table.columns[:-1]
    }


def main() -> None:
    """Print means by cell and rank correlations; refusals are one line and exit status 2."""
    try:
        table = early_values(tyro.cli(EarlyValuesSettings, description=__doc__))
    except (RecordsError, StorageError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"validation {METRIC} by updates, mean over seeds")
    print(table.groupby(level=CELL).mean().round(1).to_string())
    for updates, correlation in rank_correlations(table).items():
        print(f"rank correlation of {updates} with {table.columns[-1]} updates: {correlation:.2f}")


if __name__ == "__main__":
    main()

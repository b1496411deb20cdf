"""The page of a Gaussian sweep: what its template is filled with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from analysis.charts import numbered_files
from analysis.effects import Verdict
from analysis.gaussian.claims import judge
from analysis.gaussian.failure_causes import failure_cause_findings, untested_causes
from analysis.gaussian.figures import named_charts
from analysis.gaussian.learning_rates import best_rates
from analysis.gaussian.study import (
    FACTS,
    KL,
    KS,
    RESOLUTION,
    GaussianStudy,
    objective_name,
    read_gaussian_study,
)
from analysis.gaussian.tables import (
    CONFOUNDED,
    DISTANCES,
    SHAPES,
    correlations,
    metric_table,
    teacher_table,
)
from analysis.page import ExportedFiles, embed
from analysis.parts import PartMaker
from analysis.records import RecordSet

TEMPLATE = "report_gaussian.html.j2"

CAUSES = (
    ("KL, condition number", KL, "test.teacher_condition"),
    ("KL, Proposition 1", KL, "test.outward_probability"),
    ("KL, early outward share", KL, "early_outward"),
    ("KS, condition number", KS, "test.teacher_condition"),
    ("KS, Proposition 1", KS, "test.outward_probability"),
    ("KS, early outward share", KS, "early_outward"),
)
PARTIAL = tuple(
    zip(
        (
            "KL, condition number at fixed probability",
            "KL, Proposition 1 at fixed condition number",
        ),
        CONFOUNDED,
        strict=True,
    )
)


def values(found: RecordSet) -> dict[str, Any]:
    """What the page of one sweep shows."""
    study = read_gaussian_study(found)
    frame = study.frame
    trials = frame.drop_duplicates("record")
    parts = PartMaker()
    nothing: list[Any] = []

    def made(name: str, make: Callable[[GaussianStudy], Iterable[Any]]) -> list[Any]:
        return parts.make(name, lambda: list(make(study)), nothing)

    charts = named_charts(study, parts)
    return {
        "study": study,
        "trials": len(trials),
        "statuses": dict(trials["status"].value_counts()),
        "objectives": [objective_name(kind) for kind in dict.fromkeys(frame["objective"])],
        "means": sorted(set(frame["mean"].dropna())),
        "tables": {"Distances": DISTANCES, "Shape, norm and force": SHAPES},
        "metrics": made("the table of metrics", metric_table),
        "facts": FACTS,
        "teachers": made("the table of teachers", teacher_table),
        "causes": CAUSES,
        "partial": PARTIAL,
        "correlations": made("the rank correlations", correlations),
        "best_rates": made("the best learning rates", best_rates),
        "verdicts": by_regime(made("the verdicts on the claims", judge)),
        "findings": made("the causes of failure", failure_cause_findings),
        "untested": made("the causes that were not tested", untested_causes),
        "charts": [embed(chart) for several in charts.values() for chart in several],
        "failed": trials[trials["status"] == "failed"].to_dict("records"),
        "unreadable": list(study.unreadable),
        "resolution": RESOLUTION,
        "failed_parts": list(parts.failed),
    }


def files(found: RecordSet) -> ExportedFiles:
    """Every figure of the page as a PNG file."""
    parts = PartMaker()
    study = read_gaussian_study(found)
    contents = numbered_files(named_charts(study, parts))
    return ExportedFiles(contents, (*study.unreadable, *parts.failed))


def by_regime(verdicts: Iterable[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Verdicts in groups, those of the lowest claim first."""
    grouped: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        grouped.setdefault(verdict.regime, []).append(verdict)
    return list(grouped.items())

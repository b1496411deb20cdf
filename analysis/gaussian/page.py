"""The page of a Gaussian sweep: what its template is filled with."""

from __future__ import annotations

from typing import Any

from analysis.effects import Verdict
from analysis.gaussian.claims import judge
from analysis.gaussian.failure_causes import failure_cause_findings, untested_causes
from analysis.gaussian.figures import charts
from analysis.gaussian.learning_rates import best_rates
from analysis.gaussian.study import FACTS, KL, KS, RESOLUTION, objective_name, read_gaussian_study
from analysis.gaussian.tables import (
    CONFOUNDED,
    DISTANCES,
    SHAPES,
    correlations,
    metric_table,
    teacher_table,
)
from analysis.page import embed
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
    return {
        "study": study,
        "trials": len(trials),
        "statuses": dict(trials["status"].value_counts()),
        "objectives": [objective_name(kind) for kind in dict.fromkeys(frame["objective"])],
        "means": sorted(set(frame["mean"].dropna())),
        "tables": {"Distances": DISTANCES, "Shape, norm and force": SHAPES},
        "metrics": metric_table(study),
        "facts": FACTS,
        "teachers": teacher_table(study),
        "causes": CAUSES,
        "partial": PARTIAL,
        "correlations": correlations(study),
        "best_rates": best_rates(study),
        "verdicts": by_regime(judge(study)),
        "findings": failure_cause_findings(study),
        "untested": untested_causes(study),
        "charts": [embed(chart) for chart in charts(study)],
        "failed": trials[trials["status"] == "failed"].to_dict("records"),
        "unreadable": list(study.unreadable),
        "resolution": RESOLUTION,
    }


def by_regime(verdicts: tuple[Verdict, ...]) -> list[tuple[str, list[Verdict]]]:
    """Verdicts in groups, those of the lowest claim first."""
    grouped: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        grouped.setdefault(verdict.regime, []).append(verdict)
    return list(grouped.items())

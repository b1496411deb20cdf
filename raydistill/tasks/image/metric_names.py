"""Names of the image task's metrics: what is measured, against what, and at which prior scale.

A name is that of the metric, `TO_TEACHER` if draws of the teacher take the place of data, and the
prior scale: nothing for 1, `BEST` for the one that the validation split chose, `MATCHED` for that
of what the student was trained on, and `at` any of the grid.
"""

from __future__ import annotations

import re

from raydistill.metrics.norms import FEW_RADII

TO_TEACHER = "_to_teacher"
BEST, MATCHED = "_best", "_matched"

BEST_SCALE, MATCHED_SCALE = "prior_scale_best", "prior_scale_matched"
"""Metrics that say which scales these are."""

OVERLAPS = ("precision", "recall", "density", "coverage")
NORMS = tuple(f"same_class_at_{radius:g}" for radius in FEW_RADII)

CLASSIFIER_METRICS = frozenset(
    {
        "classifier_fd",
        "classifier_fd_sd",
        "classifier_fd_over_teacher",
        "classifier_fd_reconstruction",
        "classifier_mmd",
        "top_class_share",
        "class_entropy",
        *OVERLAPS,
        *NORMS,
    }
)
"""Metrics that need a classifier, whatever they are compared with and at which scale."""

PIXEL_OVERLAPS = ("pixel_coverage", "pixel_recall")
"""Of every evaluation where there is no classifier, and else of the test split alone."""

TEST_METRICS = frozenset(
    {
        "classifier_mmd",
        "pixel_mmd",
        "different_bins",
        "high_frequency_ratio",
        "nearest_train_ratio",
        "copied_share",
        *NORMS,
    }
)
"""Metrics that are computed once, on the test split, because they take too long to be repeated."""

CURVES = (
    "classifier_fd",
    f"classifier_fd{TO_TEACHER}",
    "pixel_fd",
    f"pixel_fd{TO_TEACHER}",
    *OVERLAPS,
    f"coverage{TO_TEACHER}",
    *PIXEL_OVERLAPS,
    f"pixel_coverage{TO_TEACHER}",
    "top_class_share",
    "sharpness_ratio",
)
"""What is kept of every scale of the grid, where it is measured."""

_SCALE = re.compile(r"_at_[0-9.e+-]+$")


def at(metric: str, scale: float) -> str:
    """The name of a metric at a prior scale of the grid.

    Example:
        >>> at("classifier_fd", 0.8)
        'classifier_fd_at_0.8'
    """
    return f"{metric}_at_{scale:g}"


def bare(metric: str) -> str:
    """The metric that a name is of, whatever it is compared with and at which prior scale.

    Example:
        >>> bare("coverage_to_teacher_best"), bare("coverage_at_0.8"), bare("same_class_at_0.7")
        ('coverage', 'coverage', 'same_class_at_0.7')
    """
    if metric in NORMS:
        return metric
    name = _SCALE.sub("", metric).removesuffix(BEST).removesuffix(MATCHED)
    return name.removesuffix(TO_TEACHER)

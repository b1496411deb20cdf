"""Columns of the ranked tables that sweeps print; docs/metrics.md says what each metric is.

A heading without a split is of the test split, except that `validation` and `test` stand for the
metric that ranks.
"""

from __future__ import annotations

from raydistill.cluster.design.question import TableColumn

IMAGE_COLUMNS = (
    TableColumn("validation", "classifier_fd_best", "validation", ".1f"),
    TableColumn("test", "classifier_fd_best", "test", ".1f"),
    TableColumn("± sets", "classifier_fd_sd_best", "test", ".1f"),
    TableColumn("scale", "prior_scale_best", "test", ".3g"),
    TableColumn("at 1", "classifier_fd", "test", ".1f"),
    TableColumn("to teacher", "classifier_fd_to_teacher", "test", ".1f"),
    TableColumn("top class", "top_class_share_best", "test", ".2f"),
    TableColumn("sharpness", "sharpness_ratio_best", "test", ".2f"),
    TableColumn("recon. l1", "reconstruction_l1", "test", ".3f"),
)
"""Of x-reconstruction's options on images, at each trial's best prior scale. `± sets`: standard
deviation over sets of samples; `at 1` and `to teacher`: at scale 1, the latter to draws of it."""

OBJECTIVE_COLUMNS = (
    TableColumn("validation", "classifier_fd_best", "validation", ".1f"),
    TableColumn("test", "classifier_fd_best", "test", ".1f"),
    TableColumn("scale", "prior_scale_best", "test", ".3g"),
    TableColumn("to teacher", "classifier_fd_to_teacher", "test", ".1f"),
    TableColumn("top class", "top_class_share_best", "test", ".2f"),
    TableColumn("coverage", "coverage_best", "test", ".2f"),
    TableColumn("sharpness", "sharpness_ratio_best", "test", ".2f"),
    TableColumn("KS log p", "ks_log_prob", "test", ".2f"),
    TableColumn("recon. FD", "classifier_fd_reconstruction", "test", ".1f"),
    TableColumn("reverse KL", "reverse_kl", "test", ".3f"),
)
"""Of comparisons of objectives on images; what is said of the teacher is at prior scale 1."""

PARETO_COLUMNS = (
    TableColumn("FD/teacher's", "classifier_fd_over_teacher_best", "validation", ".2f"),
    TableColumn("log p", "wasserstein_log_prob_best", "validation", ".3f"),
    TableColumn("test FD/t.", "classifier_fd_over_teacher_best", "test", ".2f"),
    TableColumn("test log p", "wasserstein_log_prob_best", "test", ".3f"),
    TableColumn("top class", "top_class_share_best", "test", ".2f"),
    TableColumn("sharpness", "sharpness_ratio_best", "test", ".2f"),
)
"""Of searches for two distances at once. `FD/teacher's` and `FD/t.`: classifier distance over that
of the teacher's own samples, each at its own best prior scale; `log p`: Wasserstein distance of
log p_T at the student's, in nats a dimension."""

VOCODER_COLUMNS = (
    TableColumn("whisper", "whispering", "validation", ".3f"),
    TableColumn("test", "whispering", "test", ".3f"),
    TableColumn("matched z", "whispering_matched", "test", ".3f"),
    TableColumn("excess", "periodicity_excess", "test", ".3f"),
    TableColumn("HNR dB", "harmonics_to_noise", "test", ".1f"),
    TableColumn("voiced", "voiced_recall_acf", "test", ".2f"),
    TableColumn("level dB", "voiced_level_db", "test", ".1f"),
    TableColumn("recon. l1", "reconstruction_l1", "test", ".3f"),
    TableColumn("reverse KL", "reverse_kl", "test", ".3f"),
)
"""Of the vocoder's arms."""

GAUSSIAN_COLUMNS = (
    TableColumn("KL(S|T)", "kl_student_teacher", "test", ".3g"),
    TableColumn("KL(T|S)", "kl_teacher_student", "test", ".3g"),
    TableColumn("KS log p", "ks_log_prob", "test", ".3f"),
    TableColumn("floor", "ks_log_prob_floor", "test", ".3f"),
    TableColumn("shift", "log_prob_shift", "test", "+.2f"),
    TableColumn("narrowest", "whitened_spectrum_min", "test", ".2g"),
    TableColumn("norm", "norm_ratio", "test", ".3f"),
    TableColumn("outward", "outward_fraction", "test", ".2f"),
)
"""Of the Gaussian study; each value is the median over the replicas of a trial."""

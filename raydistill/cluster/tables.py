"""Columns of the ranked table, one set a task."""

from __future__ import annotations

from raydistill.cluster.settings import Column

IMAGE_COLUMNS = (
    Column("validation", "classifier_fd", "validation", ".1f"),
    Column("test", "classifier_fd", "test", ".1f"),
    Column("± sets", "classifier_fd_sd", "test", ".1f"),
    Column("matched z", "classifier_fd_matched", "test", ".1f"),
    Column("top class", "top_class_share", "test", ".2f"),
    Column("sharpness", "sharpness_ratio", "test", ".2f"),
    Column("recon. l1", "reconstruction_l1", "test", ".3f"),
)

OBJECTIVE_COLUMNS = (
    Column("validation", "classifier_fd", "validation", ".1f"),
    Column("test", "classifier_fd", "test", ".1f"),
    Column("top class", "top_class_share", "test", ".2f"),
    Column("coverage", "coverage", "test", ".2f"),
    Column("sharpness", "sharpness_ratio", "test", ".2f"),
    Column("KS log p", "ks_log_prob", "test", ".2f"),
    Column("recon. FD", "classifier_fd_reconstruction", "test", ".1f"),
    Column("reverse KL", "reverse_kl", "test", ".3f"),
)

FRONT_COLUMNS = (
    Column("FD/teacher's", "classifier_fd_over_teacher", "validation", ".2f"),
    Column("log p", "wasserstein_log_prob", "validation", ".3f"),
    Column("test FD/t.", "classifier_fd_over_teacher", "test", ".2f"),
    Column("test log p", "wasserstein_log_prob", "test", ".3f"),
    Column("top class", "top_class_share", "test", ".2f"),
    Column("sharpness", "sharpness_ratio", "test", ".2f"),
)

VOCODER_COLUMNS = (
    Column("whisper", "whispering", "validation", ".3f"),
    Column("test", "whispering", "test", ".3f"),
    Column("matched z", "whispering_matched", "test", ".3f"),
    Column("excess", "periodicity_excess", "test", ".3f"),
    Column("HNR dB", "harmonics_to_noise", "test", ".1f"),
    Column("voiced", "voiced_recall_acf", "test", ".2f"),
    Column("level dB", "voiced_level_db", "test", ".1f"),
    Column("recon. l1", "reconstruction_l1", "test", ".3f"),
    Column("reverse KL", "reverse_kl", "test", ".3f"),
)

GAUSSIAN_COLUMNS = (
    Column("KL(S|T)", "kl_student_teacher", "test", ".3g"),
    Column("KL(T|S)", "kl_teacher_student", "test", ".3g"),
    Column("KS log p", "ks_log_prob", "test", ".3f"),
    Column("floor", "ks_log_prob_floor", "test", ".3f"),
    Column("shift", "log_prob_shift", "test", "+.2f"),
    Column("narrowest", "whitened_spectrum_min", "test", ".2g"),
    Column("norm", "norm_ratio", "test", ".3f"),
    Column("outward", "outward_fraction", "test", ".2f"),
)
"""Medians over replicas."""

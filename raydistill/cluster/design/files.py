"""The names of a sweep's own files, for whoever reads them and needs nothing else of a sweep."""

from __future__ import annotations

SWEEP_FILE = "sweep.json"
"""The file in a sweep's folder that says what the sweep is."""

STUDY_FILE = "study.journal"
"""The study's file inside a sweep's folder."""

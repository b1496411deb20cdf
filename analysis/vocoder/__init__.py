"""Vocoder sweeps: test of the measures, verdicts on claim 15, tables, figures, sounds, page."""

"""Image sweeps: verdicts on claims 6 to 14, figures, tables, page."""

"""The Gaussian study: tables, verdicts on claims 1 to 5, causes of failure, figures, page."""

"""Reads the records that sweeps leave: tables, verdicts on claims, figures, one page a sweep.

It imports no model, no task and no Ray, so that it runs where only the results are.
"""

"""Concat-ELU and gated residuals, forward and backward, each in one pass over memory."""

"""Concat-ELU and gates, forward and backward, as one pass over memory."""

"""Closed forms between Gaussians, and the propositions of the paper."""

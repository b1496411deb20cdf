"""Metrics as numbers, each tested on cases with a known answer."""

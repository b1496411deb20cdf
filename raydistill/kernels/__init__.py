"""Compiled loops behind small functions of arrays and sizes; they know no model."""

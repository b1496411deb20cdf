"""Compiled loops behind small functions of arrays and sizes; no kernel knows a model.

Each package computes what a plain PyTorch twin computes too, and tests hold the two equal.
"""

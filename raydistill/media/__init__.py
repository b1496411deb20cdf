"""Tensors as files to look at and listen to: PNG, WAV, spectrograms."""

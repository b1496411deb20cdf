"""Incremental decoding of PixelCNN++ as one compiled loop over an arena of numbers."""

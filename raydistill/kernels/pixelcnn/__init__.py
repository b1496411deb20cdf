"""Incremental decoding of PixelCNN++ as one compiled loop.

All numbers (weights, rows of activations, scratch) are in one array, the *arena*, and are addressed
by offsets into it. `memory` hands out offsets, `steps` lists the matrix products of every row and
pixel, `plan` writes them into a table, `kernel` runs the table, and `decode` is what others call.
"""

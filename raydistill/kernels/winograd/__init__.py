"""Small convolutions on a CPU with a third of the multiplications: Winograd's minimal filtering.

Reference:
    Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308.
"""

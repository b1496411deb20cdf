"""Small convolutions on a CPU with a third of the multiplications (Lavin and Gray, 2016)."""

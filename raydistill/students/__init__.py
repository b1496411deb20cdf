"""Students: x = S(z) in one pass."""

"""The Gaussian study of sections 3.2 and 4.1.1."""

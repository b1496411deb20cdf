"""Teachers: autoregressive densities with an exact, parallel encode."""

"""What sweeps have left behind, read back: tables, claims, figures, one page. No models, no Ray."""

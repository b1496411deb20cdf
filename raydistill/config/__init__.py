"""The ground that every configuration stands on: frozen nodes, optimiser, shapes, errors."""

"""One trial from configuration to record, wherever it runs."""

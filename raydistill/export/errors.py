"""The error that all of the export raises."""

from __future__ import annotations


class ExportError(ValueError):
    """A model cannot be exported as asked; the message says why and what to do."""

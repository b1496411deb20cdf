"""The error by which a configuration is refused, before any work."""

from __future__ import annotations


class ConfigError(ValueError):
    """A configuration is refused; one line a problem."""

"""The error with which a configuration is refused, before any work starts."""

from __future__ import annotations


class ConfigError(ValueError):
    """A configuration is refused; the message has one line for each problem.

    Each line names the field, its value and what to give instead.
    """

"""The error with which a configuration is refused, before any work starts."""

from __future__ import annotations


class ConfigError(ValueError):
    """A configuration is refused; the message has one line for each problem.

    Each line names the field, its value and what to give instead.

    Example:
        >>> import raydistill as rd
        >>> rd.parse_trial({"task": "image", "seed": -1})
        Traceback (most recent call last):
        ...
        raydistill.config.errors.ConfigError: seed: -1 is not allowed; give a value greater ...
    """

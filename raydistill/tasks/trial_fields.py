"""Fields of a trial configuration by their dotted paths, as command lines and sweeps give them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from raydistill.config.errors import ConfigError
from raydistill.tasks.registry import parse_trial
from raydistill.tasks.trial_config import TrialConfig


def with_fields(config: TrialConfig, values: Mapping[str, Any]) -> TrialConfig:
    """Replace fields of a configuration, given by dotted paths, and validate the result.

    Raises:
        ConfigError: a field does not exist, or its value is refused.

    Example:
        >>> from raydistill.tasks.gaussian.config import GaussianTrial
        >>> from raydistill.tasks.trial_fields import with_fields
        >>> with_fields(GaussianTrial(), {"optimiser.learning_rate": 0.01}).optimiser.learning_rate
        0.01
    """
    tree = config.model_dump(mode="json")
    changed: set[str] = set()
    # Kinds come first, because another kind has other fields, which may be set together with it.
    for path in sorted(values, key=lambda path: not path.endswith("kind")):
        value = values[path]
        *parents, last = path.split(".")
        node: Any = tree
        for name in parents:
            node = node.get(name) if isinstance(node, dict) else None
        unknown = isinstance(node, dict) and last not in node and last != "kind"
        # Of a node whose kind has just been changed the fields are unknown here; validation checks
        # them.
        if not isinstance(node, dict) or (unknown and ".".join(parents) not in changed):
            known = list(node) if isinstance(node, dict) else list(tree)
            near = difflib.get_close_matches(last, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            raise ConfigError(f"{path}: no such field; {hint}")
        node[last] = value
        if last == "kind":
            changed.add(".".join(parents))
            for other in [k for k in node if k != "kind"]:
                del node[other]
    return parse_trial(tree)


def assignment(text: str) -> tuple[str, Any]:
    """Split `field=value`; the value is parsed as JSON, or else taken as text.

    Raises:
        ConfigError: there is no `=`.

    Example:
        >>> from raydistill.tasks.trial_fields import assignment
        >>> assignment("optimiser.learning_rate=0.01"), assignment("data.name=digits")
        (('optimiser.learning_rate', 0.01), ('data.name', 'digits'))
    """
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"set: {text!r} is not an assignment; give field=value")
    return name, _parsed(value)


def axis(text: str) -> tuple[str, tuple[Any, ...]]:
    """Split `field=value,value,...` into the field and its distinct values.

    Raises:
        ConfigError: there is no list of values.

    Example:
        >>> from raydistill.tasks.trial_fields import axis
        >>> axis("objective.noise_level=0,0.5")
        ('objective.noise_level', (0, 0.5))
    """
    name, separator, values = text.partition("=")
    if not separator or not all(values.split(",")):
        raise ConfigError(f"vary: {text!r} is no axis; give field=value,value,...")
    return name, tuple(dict.fromkeys(_parsed(value) for value in values.split(",")))


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value

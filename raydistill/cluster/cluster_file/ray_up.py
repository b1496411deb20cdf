"""What is wrong with a file for `ray up`: Ray's schema, the rules of all, those of its provider."""

from __future__ import annotations

from raydistill.cluster.cluster_file import aws, hosts, rules
from raydistill.cluster.cluster_file.problems import Config, Problem
from raydistill.cluster.cluster_file.schema import (
    fill_defaults,
    ray_schema,
    schema_problems,
    unknown_keys,
)

PROVIDERS = {"aws": aws.RULES, "local": hosts.RULES}
CHECKED = (
    "schema, token authentication, loopback dashboard, no open address, constraints on every node, "
    "storage, and its provider's own settings"
)


def problems(config: Config, version: str) -> list[Problem]:
    """All that is wrong with a configuration, as its file has it.

    Args:
        config: of the file.
        version: of Ray, that every node must install.
    """
    schema = ray_schema()
    # Keys first: one misspelt key makes the schema complain about three things that are right.
    found = list(unknown_keys(config, schema)) or list(schema_problems(config, schema))
    provider = config.get("provider")
    name = provider.get("type") if isinstance(provider, dict) else None
    if name not in (None, *PROVIDERS):
        remedy = f"only {' and '.join(map(repr, PROVIDERS))} can be checked here: the rules are "
        found.append(Problem("provider.type", name, f"{remedy}about their settings"))
    elif name is None and not found:
        found.append(Problem("provider.type", None, f"give one of {', '.join(PROVIDERS)}"))
    if found or name is None:
        return found  # what follows reads sections that the schema has just vouched for
    if name == "local":  # Ray would end this process instead of saying what is wrong
        found = [problem for rule in hosts.BEFORE_DEFAULTS for problem in rule(config)]
        if found:
            return found
    try:
        config = fill_defaults(config)
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        return [Problem("as a whole", type(error).__name__, f"Ray refuses it: {error}")]
    found = [problem for rule in rules.RULES for problem in rule(config)]
    found += rules.pinned_ray(config, version)
    return found + [problem for rule in PROVIDERS[name] for problem in rule(config)]

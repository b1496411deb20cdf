"""The arms of a vocoder sweep: an objective with its loss, noise level and power loss."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis.charts import OBJECTIVE_COLOURS
from analysis.table import number_at, text_at

NAMES = {
    "reverse_kl": "reverse KL",
    "z_reconstruction": "z-reconstruction",
    "x_reconstruction": "x-reconstruction",
    "oracle": "oracle",
}
ESTIMATORS = {"plain": "Monte Carlo", "per_step": "closed form a step"}
COLOURS = dict(zip(NAMES, OBJECTIVE_COLOURS, strict=False))
Dash = tuple[float, tuple[float, ...]]
SOLID: Dash = (0.0, ())
DASHES: tuple[Dash, ...] = (
    SOLID,
    (0.0, (5.0, 2.0)),
    (0.0, (1.5, 1.5)),
    (0.0, (6.0, 2.0, 1.5, 2.0)),
)


@dataclass(frozen=True)
class Arm:
    """One objective as it was configured.

    Attributes:
        key: of all its fields and the power loss's: arms with one key are one arm.
        name: in words, unique in a sweep.
        kind, estimator, l1_weight, noise_level, rescale, power_weight: see the configuration.
        colour, dash: of its lines in charts.
    """

    key: str
    name: str
    kind: str
    estimator: str
    l1_weight: float
    noise_level: float
    rescale: bool
    power_weight: float
    colour: str = "#000000"
    dash: Dash = SOLID

    @property
    def is_reverse_kl(self) -> bool:
        """Reverse KL, with the power loss or without."""
        return self.kind == "reverse_kl"

    @property
    def has_power(self) -> bool:
        """Whether the power loss was added."""
        return self.power_weight > 0.0

    @property
    def is_x_l1(self) -> bool:
        """The paper's own: x-reconstruction with l1, neither noise nor power loss."""
        own = self.kind == "x_reconstruction" and self.l1_weight == 1.0
        return own and self.noise_level == 0.0 and not self.has_power

    @property
    def order(self) -> tuple[Any, ...]:
        """Reverse KL first, without extras before with them."""
        kinds = list(NAMES)
        place = kinds.index(self.kind) if self.kind in kinds else len(kinds)
        extras = (self.has_power, self.noise_level, -self.l1_weight, self.rescale)
        return (place, *extras, self.estimator, self.key)


def arm_of(config: Mapping[str, Any]) -> Arm:
    """The arm of a trial's configuration."""
    arm = Arm(
        digest([_tree(config, "objective"), _tree(config, "power")]),
        "",
        text_at(config, "objective", "kind"),
        text_at(config, "objective", "estimator"),
        number_at(config, "objective", "l1_weight") or 0.0,
        number_at(config, "objective", "noise_level") or 0.0,
        _tree(config, "objective").get("rescale") is True,
        number_at(config, "power", "weight") or 0.0,
    )
    return replace(arm, name=_name(arm))


def distinct_arms(arms: Iterable[Arm]) -> dict[str, Arm]:
    """Distinct arms by key, in order, with names of their own, colours and dashes."""
    ordered = sorted({arm.key: arm for arm in arms}.values(), key=lambda arm: arm.order)
    found: dict[str, Arm] = {}
    for arm in ordered:
        kin = [other for other in found.values() if other.kind == arm.kind]
        taken = {other.name for other in found.values()}
        name = f"{arm.name} ({arm.key[:4]})" if arm.name in taken else arm.name
        colour = COLOURS.get(arm.kind, "#000000")
        dash = DASHES[len(kin) % len(DASHES)]
        found[arm.key] = replace(arm, name=name, colour=colour, dash=dash)
    return found


def digest(tree: Any) -> str:
    """A short hash of a JSON tree."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:12]


def _name(arm: Arm) -> str:
    name = NAMES.get(arm.kind, arm.kind or "unknown objective")
    if arm.is_reverse_kl:
        name += f" ({ESTIMATORS.get(arm.estimator, arm.estimator or 'unknown estimator')})"
    else:
        mixed = f"l1 weight {arm.l1_weight:g}"
        name += f" {({1.0: 'l1', 0.0: 'l2'}).get(arm.l1_weight, mixed)}"
    name += f", noise {arm.noise_level:g}" if arm.noise_level > 0.0 else ""
    name += ", rescaled codes" if arm.rescale and arm.noise_level > 0.0 else ""
    if arm.has_power:
        name += (
            " + power loss" if arm.power_weight == 1.0 else f" + power loss {arm.power_weight:g}"
        )
    return name


def _tree(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}

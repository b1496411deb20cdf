"""Claim 15 in parts: reverse KL whispers, x-reconstruction with l1 does not (section 4.1.4).

Each part is a sentence of its own. What decides is the periodicity excess of samples from the
prior on the test split; the other calibrated measures may withhold a verdict, never give one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.effects import COVERAGE, Effect, Verdict
from analysis.records import TrialRecord
from analysis.vocoder.calibration import MeasureCalibration, calibrate_measures, sentence_mean
from analysis.vocoder.crossed_random_effects import crossed_effect
from analysis.vocoder.decision_rules import (
    NUMBER,
    SMALLEST_LEVEL_DB,
    above_midpoint,
    at_equal_seconds,
    calibrated_verdict,
    difference,
    effects_of,
    floor_table,
    minus_floor,
    share_of_way,
)
from analysis.vocoder.study import EXCESS, LEVEL, ArmCell, Regime, VocoderStudy

PARTS = 3
"""Number of sentences (15a, 15b, 15c) that the claim in the paper's words rests on."""
TOGETHER = 1.0 - (1.0 - COVERAGE) / PARTS

NO_POWER = (
    "no finished trial of reverse KL with the power loss, as reverse KL is used in practice: "
    "without it the comparison is with a straw man (--arms kl_power)"
)
NO_X = "no finished trial of x-reconstruction with l1, without noise and power loss (--arms x_l1)"
NO_KL = "no finished trial of reverse KL without the power loss (--arms kl)"
DEAF = "the teacher's own samples are not shown to be above a whisper: there is no voice to distil"
NO_ARRAYS = "its arrays with a value a sentence could not be read"


def judge(study: VocoderStudy) -> tuple[Verdict, ...]:
    """Verdicts on claim 15 and its parts, for every regime with finished trials."""
    verdicts: list[Verdict] = []
    for regime in study.regimes.values():
        if regime.cells:
            found = _judge_regime(study, regime, calibrate_measures(regime))
            verdicts += sorted(found, key=lambda verdict: verdict.claim.partition(".")[0])
    return tuple(verdicts)


def _judge_regime(
    study: VocoderStudy, regime: Regime, calibration: MeasureCalibration
) -> Iterator[Verdict]:
    cells = list(regime.cells.values())
    x = next((cell for cell in cells if cell.arm.is_x_l1), None)
    plain = [c for c in cells if c.arm.is_reverse_kl and not c.arm.has_power]
    power = [c for c in cells if c.arm.is_reverse_kl and c.arm.has_power]
    bench = _RegimeVerdicts(regime, calibration, study.records, study.is_adaptive)
    for place, kl in enumerate(_or_none(plain)):
        yield bench.whole(kl, x)
        yield bench.whispers(kl)
        if place == 0:
            yield bench.does_not_whisper(x)
        yield bench.whispers_less("15c", x, kl, NO_KL)
        yield bench.is_quiet(kl)
    for kl in _or_none(power):
        yield bench.whispers_less("15d", x, kl, NO_POWER)


def _or_none(cells: list[ArmCell]) -> list[ArmCell | None]:
    """The cells; a single None if there are none, so that their absence is reported once."""
    return [*cells] or [None]


class _RegimeVerdicts:
    """Judges the parts of the claim in one regime."""

    def __init__(
        self,
        regime: Regime,
        calibration: MeasureCalibration,
        records: Sequence[TrialRecord],
        adaptive: bool,
    ) -> None:
        self.regime, self.calibration, self.records = regime, calibration, records
        self.adaptive = adaptive

    def whispers(self, kl: ArmCell | None, coverage: float = COVERAGE) -> Verdict:
        """15a: reverse KL is nearer to the whisper than to the teacher."""
        name = "Reverse KL without the power loss" if kl is None else _capital(kl.arm.name)
        claim = (
            f"15a. {name} whispers: at the pitch that they should have, its samples are nearer to "
            "the synthetic whisper than to the teacher's."
        )
        beside = () if kl is None else self._levels(kl)
        return self._placed(claim, kl, -1, beside, NO_KL, coverage)

    def does_not_whisper(self, x: ArmCell | None, coverage: float = COVERAGE) -> Verdict:
        """15b: x-reconstruction with l1 is nearer to the teacher than to the whisper."""
        claim = (
            "15b. x-reconstruction l1 does not whisper: its samples are nearer to the teacher's "
            "than to the synthetic whisper."
        )
        oracle = [c for c in self.regime.cells.values() if c.arm.kind == "oracle"]
        beside = [e for cell in ([x] if x else []) + oracle for e in self._levels(cell)]
        return self._placed(claim, x, 1, beside, NO_X, coverage)

    def whispers_less(
        self,
        part: str,
        x: ArmCell | None,
        kl: ArmCell | None,
        absent: str,
        coverage: float = COVERAGE,
    ) -> Verdict:
        """15c without the power loss, 15d with it."""
        other = "reverse KL" if kl is None else kl.arm.name
        if kl is None:
            other += " + power loss" if part == "15d" else " without the power loss"
        claim = f"{part}. x-reconstruction l1 whispers less than {other}, at equal updates."
        missing = self._missing(x, NO_X) or self._missing(kl, absent)
        if missing or x is None or kl is None:
            return self._nothing(claim, missing)
        tables = {m: difference(x, kl, m) for m in self.calibration.scales}
        words = f"x-reconstruction l1 minus {kl.arm.name}"
        effects = effects_of(tables, dict(self.calibration.scales), words, coverage, 2)
        beside = [
            at_equal_seconds(
                x, kl, self.records, f"whispering at equal training time, validation, {words}"
            )
        ]
        beside += [
            self._minus(cell, kl)
            for cell in self.regime.cells.values()
            if cell.arm.key != x.arm.key and not cell.arm.is_reverse_kl
        ]
        return self._judge(claim, effects, 1, beside)

    def is_quiet(self, kl: ArmCell | None) -> Verdict:
        """15e: samples of reverse KL are quieter than the teacher's."""
        name = "Reverse KL without the power loss" if kl is None else _capital(kl.arm.name)
        claim = (
            f"15e. {name} is too quiet: voiced frames of its samples have less power than those of "
            "the teacher's, the real recordings being 0 dB."
        )
        missing = self._missing(kl, NO_KL)
        if missing or kl is None:
            return self._nothing(claim, missing)
        teacher = floor_table(self.regime, "teacher", LEVEL)
        effect = crossed_effect(
            f"voiced level, {kl.arm.name} minus its teacher, dB",
            minus_floor(kl.tables[LEVEL], teacher),
            margin=SMALLEST_LEVEL_DB,
            cells=2,
        )
        beside = [
            crossed_effect(f"voiced level, {cell.arm.name}, dB", cell.tables[LEVEL])
            for cell in self.regime.cells.values()
            if LEVEL in cell.tables
        ]
        own = sentence_mean(self.regime.floors["teacher"][LEVEL])
        floor = Effect("voiced level, teacher, dB", own.value, own.low, own.high, cells=1)
        return self._judge(claim, [effect], -1, [floor, *beside])

    def whole(self, kl: ArmCell | None, x: ArmCell | None) -> Verdict:
        """The claim as the paper words it: 15a, 15b and 15c together."""
        name = "reverse KL" if kl is None else kl.arm.name
        claim = (
            f"15. Students of x-reconstruction l1 do not have the whispering of those of {name} "
            "(as the paper words it): 15a, 15b and 15c together."
        )
        parts = {
            "15a": self.whispers(kl, TOGETHER),
            "15b": self.does_not_whisper(x, TOGETHER),
            "15c": self.whispers_less("15c", x, kl, NO_KL, TOGETHER),
        }
        found = {name: part.verdict for name, part in parts.items()}
        against = [name for name, verdict in found.items() if verdict == "not reproduced"]
        open_ = [name for name, verdict in found.items() if verdict == "undecided"]
        main = parts["15c"].main
        beside = tuple(p.main for n, p in parts.items() if n != "15c" and p.main.cells)
        each = f"Each of the {PARTS} intervals is widened to {100 * TOGETHER:.3g}%"
        if against:
            words = f"{' and '.join(against)} not reproduced. {each}"
            return Verdict(claim, NUMBER, "not reproduced", main, beside, self._words, words)
        if open_:
            reasons = dict.fromkeys(parts[name].reason for name in open_)
            words = f"{' and '.join(open_)} undecided: {'; '.join(reasons)}"
            return Verdict(claim, NUMBER, "undecided", main, beside, self._words, words)
        words = f"all three hold. {each}"
        return Verdict(claim, NUMBER, "reproduced", main, beside, self._words, words)

    @property
    def _words(self) -> str:
        return self.regime.words

    def _placed(
        self,
        claim: str,
        cell: ArmCell | None,
        direction: int,
        beside: Sequence[Effect],
        absent: str,
        coverage: float,
    ) -> Verdict:
        """An arm between whisper and teacher."""
        missing = self._missing(cell, absent)
        if missing or cell is None:
            return self._nothing(claim, missing)
        heard = [metric for metric in self.calibration.scales if self._has_voice(metric)]
        if EXCESS not in heard:
            return self._nothing(claim, DEAF)
        tables = {metric: above_midpoint(self.regime, cell, metric) for metric in heard}
        words = f"{cell.arm.name}, less the middle between whisper and teacher"
        effects = effects_of(tables, dict(self.calibration.scales), words, coverage, 1)
        return self._judge(claim, effects, direction, beside)

    def _has_voice(self, metric: str) -> bool:
        """Whether the teacher is above a whisper: else there is no way from one to the other."""
        floors = self.regime.floors
        return sentence_mean(floors["teacher"][metric] - floors["whisper"][metric]).low > 0.0

    def _levels(self, cell: ArmCell) -> list[Effect]:
        """An arm's own excess, and its place between whisper and teacher."""
        if EXCESS not in cell.tables or not self.calibration.scales:
            return []
        place = share_of_way(self.regime, cell, EXCESS)
        return [
            crossed_effect(
                f"periodicity excess, {cell.arm.name}", cell.tables[EXCESS], signed=False
            ),
            Effect(
                f"the same, as the share of the way from whisper to teacher, {cell.arm.name}",
                place.value,
                seeds=place.count,
                cells=1,
                signed=False,
            ),
        ]

    def _minus(self, cell: ArmCell, kl: ArmCell) -> Effect:
        name = f"periodicity excess, {cell.arm.name} minus {kl.arm.name}"
        if self._missing(cell, ""):
            return Effect(name)
        return crossed_effect(name, difference(cell, kl, EXCESS), cells=2)

    def _missing(self, cell: ArmCell | None, absent: str) -> str:
        if self.adaptive:
            return "cells were chosen by an adaptive search, which is no balanced design"
        if cell is None:
            return absent
        if not self.calibration.scales:
            return "; ".join(self.calibration.reasons)
        lacking = [m for m in (*self.calibration.scales, LEVEL) if m not in cell.tables]
        narrow = EXCESS in cell.tables and cell.tables[EXCESS].shape[1] != self.regime.sentences
        return f"{cell.arm.name}: {NO_ARRAYS}" if lacking or narrow else ""

    def _judge(
        self, claim: str, effects: Sequence[Effect], direction: int, beside: Sequence[Effect]
    ) -> Verdict:
        kept = [effect for effect in beside if effect.cells]
        return calibrated_verdict(claim, effects, direction, kept, self._words, self.calibration)

    def _nothing(self, claim: str, missing: str) -> Verdict:
        return calibrated_verdict(claim, [], 1, [], self._words, self.calibration, missing=missing)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def headline(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The claim as a whole and its part against the power loss: what a reader asks first."""
    return [verdict for verdict in verdicts if verdict.claim.startswith(("15. ", "15d. "))]

"""Known sounds in order, or no verdict: planted orders, and the rule of the metrics' command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.vocoder.calibration import HEADLINES, MeasureCalibration, calibrate_measures
from raydistill.metrics.audio import METRICS
from raydistill.metrics.ordering import calibration_of
from tests.analysis.vocoder_records import (
    DEFAULT,
    FLOORS,
    X,
    floor_arrays,
    over_seeds,
    put,
    study_of,
    verdicts_of,
)

EXCESS = "periodicity_excess"


def floors(**changes: float) -> Mapping[str, Mapping[str, float]]:
    """The floors with another periodicity excess of some sounds."""
    return {
        sound: {**own, EXCESS: changes.get(sound, own[EXCESS])} for sound, own in FLOORS.items()
    }


def calibrated(path: Path, **options: Any) -> MeasureCalibration:
    put(path, over_seeds(X), sounds=False, **options)
    (regime,) = study_of(path).regimes.values()
    return calibrate_measures(regime)


def test_known_sounds_in_order_are_calibrated(tmp_path: Path) -> None:
    found = calibrated(tmp_path)
    assert found.ordered
    assert set(found.scales) == set(HEADLINES)
    levels = found.scales[EXCESS].levels
    assert levels["natural"].value - levels["whisper"].value == pytest.approx(0.74, abs=0.02)
    assert "strictly above its copy" in found.scales[EXCESS].reason
    # The fixture plants a copy with more harmonics than the recording, by less than counts.
    assert "below its copy by less than counts" in found.scales["harmonics_to_noise"].reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"half": -0.1}, "half whisper is not shown to be above whisper"),
        ({"copy": 0.3, "half": 0.35}, "copy-synthesis is not shown to be above half whisper"),
        ({"copy": 0.80}, "natural is not shown to be above copy-synthesis"),
    ],
)
def test_an_order_that_is_not_there_is_refused_and_so_are_verdicts(
    tmp_path: Path, changes: dict[str, float], words: str
) -> None:
    found = calibrated(tmp_path / "alone", floors=floors(**changes))
    assert not found.ordered
    assert any(words in reason for reason in found.reasons)
    verdicts = verdicts_of(tmp_path / "all", over_seeds(*DEFAULT), floors=floors(**changes))
    every = [verdict for group in verdicts.values() for verdict in group]
    assert len(every) >= 6
    assert {verdict.verdict for verdict in every} == {"undecided"}
    assert all("not calibrated" in verdict.reason for verdict in every)


def test_a_copy_may_be_above_the_recording_by_less_than_counts(tmp_path: Path) -> None:
    assert calibrated(tmp_path, floors=floors(copy=0.75)).ordered


def test_few_sentences_and_missing_measures_do_not_calibrate(tmp_path: Path) -> None:
    def few(made: object, arrays: dict[str, Any]) -> dict[str, Any]:
        return {name: values[:4] for name, values in arrays.items()}

    def without(made: object, arrays: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in arrays.items() if k != "floor/half/harmonics_to_noise"}

    assert "4 sentences" in calibrated(tmp_path / "few", change=few).reasons[0]
    lacking = calibrated(tmp_path / "without", change=without)
    assert lacking.reasons == ("harmonics-to-noise ratio, dB: not recorded",)


@pytest.mark.parametrize("copy", [0.74, 0.775, 0.80])
def test_the_rule_is_that_of_the_calibration_command(tmp_path: Path, copy: float) -> None:
    arrays = floor_arrays(floors(copy=copy))
    judged = {
        sound: [
            {
                metric: float(np.float32(arrays[f"floor/{sound}/{metric}"][i]))
                for metric in HEADLINES
            }
            for i in range(len(arrays[f"floor/{sound}/{EXCESS}"]))
        ]
        for sound in ("natural", "copy", "half", "whisper")
    }
    full = {s: [dict.fromkeys(METRICS, 0.0) | row for row in rows] for s, rows in judged.items()}
    assert calibrated(tmp_path, floors=floors(copy=copy)).ordered == calibration_of(full).ordered

"""The calibration on real speech, and its verdict on numbers that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raydistill.data.raw import DataError
from raydistill.data.speech import SpeechConfig, Utterance
from raydistill.data.speech_files import read_recording
from raydistill.data.speech_sets import SOUNDS
from raydistill.data.world import analyse, hop_of
from raydistill.metrics.audio import METRICS, AudioError
from raydistill.metrics.calibration import CalibrationSettings, calibrate, kinds_of, main, spread
from raydistill.metrics.ordering import HEADLINES, KINDS, calibration_of

RATE = 8000
SENTENCES = (
    "agent-loginok",
    "all-circuits-busy-now",
    "conf-locked",
    "conf-muted",
    "dir-welcome",
    "do-not-disturb",
    "from-unknown-caller",
    "hello-world",
    "number-not-answering",
    "one-moment-please",
    "telephone-number",
    "vm-deleted",
)


@pytest.fixture(scope="module")
def spoken() -> list[Utterance]:
    """Twelve short recordings with their features."""
    try:
        SpeechConfig().check()
    except DataError as error:
        pytest.skip(f"no speech on this machine: {error}")
    found = []
    for name in SENTENCES:
        path = SOUNDS / "en_US_f_Allison" / f"{name}.wav"
        if not path.is_file():
            pytest.skip(f"no {path} on this machine")
        x = read_recording(path, RATE)
        features = torch.from_numpy(analyse(x, RATE))
        found.append(Utterance(name, None, "Allison", torch.from_numpy(x), features))
    return found


def judged(means: dict[str, float], spread_of: float = 0.01) -> dict[str, list[dict[str, float]]]:
    """Twelve sentences whose every metric is the kind's mean and a little of their own."""
    own = spread_of * np.random.default_rng(0).standard_normal((len(KINDS), 12))
    return {
        kind: [dict.fromkeys(METRICS, means[kind] + value) for value in values]
        for kind, values in zip(KINDS, own, strict=True)
    }


def test_real_speech_is_in_order(spoken: list[Utterance]) -> None:
    told: list[tuple[int, int]] = []
    found = calibrate(spoken, RATE, lambda done, total: told.append((done, total)))
    assert found.ordered, found.reasons
    assert found.reasons == ()
    assert told == [(k, 12) for k in range(1, 13)]
    assert [row.name for row in found.rows] == list(KINDS)
    excess = {row.name: row.metrics["periodicity_excess"] for row in found.rows}
    assert excess["natural"] > 0.55
    assert 0.4 < excess["half"] / excess["copy"] < 0.6
    assert abs(excess["whisper"]) < 0.06
    assert all(name in found.table() for name in METRICS)
    assert found.table().endswith("in order")


def test_the_kinds_are_of_one_length_and_level(spoken: list[Utterance]) -> None:
    kinds = kinds_of(spoken[0], RATE)
    assert list(kinds) == list(KINDS)
    assert {signal.shape for signal in kinds.values()} == {tuple(spoken[0].x.shape)}
    levels = [np.sqrt(np.square(kinds[kind]).mean()) for kind in ("copy", "half", "whisper")]
    assert levels == pytest.approx([levels[0]] * 3, rel=0.1)


def test_an_order_is_recognised() -> None:
    found = calibration_of(judged({"natural": 3.0, "copy": 2.9, "half": 2.0, "whisper": 1.0}))
    assert found.ordered
    assert found.reasons == ()
    natural = [c for c in found.comparisons if (c.upper, c.lower) == ("natural", "copy")]
    assert [c.metric for c in natural] == list(HEADLINES)
    assert {c.verdict for c in natural} == {"above"}
    assert natural[0].difference == pytest.approx(0.1, abs=0.02)
    assert natural[0].low < natural[0].difference < natural[0].high


@pytest.mark.parametrize(
    ("means", "reason"),
    [
        ((3.0, 2.9, 1.0, 1.0), "half is not told apart from whisper"),
        ((3.0, 2.9, 1.0, 2.0), "half is below whisper"),
        ((3.0, 2.0, 2.5, 1.0), "copy is below half"),
        ((3.0, 3.2, 2.0, 1.0), "copy may be above natural by 0.2"),
    ],
)
def test_a_broken_order_is_refused_with_its_reason(means: tuple[float, ...], reason: str) -> None:
    found = calibration_of(judged(dict(zip(KINDS, means, strict=True))))
    assert not found.ordered
    assert len(found.reasons) == len(HEADLINES)
    for metric, said in zip(HEADLINES, found.reasons, strict=True):
        assert said.startswith(metric)
        assert reason in said
    assert "NOT in order" in found.table()


def test_a_copy_a_little_above_natural_is_named_and_allowed() -> None:
    found = calibration_of(judged({"natural": 3.0, "copy": 3.03, "half": 2.0, "whisper": 1.0}))
    assert found.ordered
    assert "natural is below copy, -0.027 [-0.035, -0.019], 12 sentences" in found.table()


def test_sentences_without_a_value_make_no_order() -> None:
    values = judged({"natural": 3.0, "copy": 2.9, "half": 2.0, "whisper": 1.0})
    for row in values["whisper"][:8]:
        row["harmonics_to_noise"] = float("nan")
    found = calibration_of(values)
    assert not found.ordered
    assert found.reasons == ("harmonics_to_noise: only 4 sentences have a value, 5 are needed",)


def test_too_few_sentences_are_refused() -> None:
    with pytest.raises(AudioError, match="4 cannot be told from chance; at least 5"):
        calibrate([fake(1.0)] * 4, RATE)


def test_sentences_are_spread_over_all_that_are_long_enough() -> None:
    many = [fake(seconds) for seconds in (1.0, 0.5, 1.2, 2.0, 0.9, 1.1, 3.0)]
    assert [len(one.x) / RATE for one in spread(many, RATE, 3)] == [1.0, 2.0, 3.0]
    assert len(spread(many, RATE, 99)) == 5


def test_the_command_says_what_is_wrong_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(CalibrationSettings(dataset="nonsense")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'nonsense'" in said


def fake(seconds: float) -> Utterance:
    """A silent utterance of a length."""
    count = round(seconds * RATE)
    x = torch.zeros(count)
    return Utterance("fake", None, "nobody", x, torch.zeros(count // hop_of(RATE), 27))

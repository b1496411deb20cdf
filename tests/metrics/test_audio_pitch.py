"""Correlograms against their definition, and both trackers on voices of known pitch."""

from __future__ import annotations

import numpy as np
import pytest

from raydistill.metrics.correlogram import correlogram, frame_count, frames_of
from raydistill.metrics.pitch import PitchTrack, autocorrelation_track, dio_track
from tests.metrics.signals import pulse_train, white_noise

RATE = 8000
EDGE = 12
"""Frames at either end whose window reaches over the end."""


def test_frames_are_centred_every_5_ms() -> None:
    x = np.arange(400.0)
    frames = frames_of(x, RATE, 5)
    assert len(frames) == frame_count(400, RATE) == 11
    assert frames[0].tolist() == [0.0, 0.0, 0.0, 1.0, 2.0]
    assert frames[3].tolist() == [118.0, 119.0, 120.0, 121.0, 122.0]
    assert frames[10].tolist() == [398.0, 399.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
@pytest.mark.parametrize("count", [8000, 12345, 18040])
def test_both_trackers_have_the_same_frames(rate: int, count: int) -> None:
    x = white_noise(count / rate, rate)
    track = autocorrelation_track(correlogram(x, rate))
    assert len(track.f0) == len(dio_track(x, rate).f0) == frame_count(count, rate)


def test_a_correlogram_is_the_autocorrelation_over_that_of_the_window() -> None:
    x = white_noise(0.2, RATE, seed=3)
    gram = correlogram(x, RATE, steps=4)
    width = round(3 * RATE / 70)
    window = np.hanning(width + 2)[1:-1]
    frame = frames_of(x, RATE, width)[20]
    frame = (frame - (frame * window).sum() / window.sum()) * window
    lags = range(100)
    direct = np.array([frame[: width - k] @ frame[k:] for k in lags])
    shape = np.array([window[: width - k] @ window[k:] for k in lags])
    expected = direct / direct[0] / (shape / shape[0])
    np.testing.assert_allclose(gram.values[20, : 4 * len(lags) : 4], expected, atol=1e-10)


def test_between_samples_it_is_that_of_the_continuous_signal() -> None:
    """The same sound at four times the rate has the same correlogram, lag for lag."""
    coarse = correlogram(pulse_train(180.0, 0.3, RATE, top=3500.0), RATE, steps=4)
    fine = correlogram(pulse_train(180.0, 0.3, 4 * RATE, top=3500.0), 4 * RATE, steps=1)
    frames = slice(EDGE, -EDGE)
    lags = slice(4 * RATE // 500, 4 * RATE // 100)
    difference = coarse.values[frames, lags] - fine.values[frames, lags]
    assert np.abs(difference).max() < 0.03
    assert np.square(difference).mean() < 1e-4


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("f0", [90.0, 143.3, 227.0, 410.0])
def test_both_trackers_find_the_pitch_of_a_pulse_train(f0: float, rate: int) -> None:
    x = pulse_train(f0, 0.6, rate)
    for track in (autocorrelation_track(correlogram(x, rate)), dio_track(x, rate)):
        found = track.f0[EDGE:-EDGE]
        assert (found > 0.0).all()
        assert np.abs(1200.0 * np.log2(found / f0)).max() < 5.0


def test_both_trackers_follow_a_gliding_pitch() -> None:
    f0 = np.linspace(120.0, 240.0, RATE)
    x = pulse_train(f0, 1.0, RATE)
    expected = f0[np.minimum(np.arange(frame_count(RATE, RATE)) * 40, RATE - 1)]
    for track in (autocorrelation_track(correlogram(x, RATE)), dio_track(x, RATE)):
        cents = 1200.0 * np.log2(track.f0[EDGE:-EDGE] / expected[EDGE:-EDGE])
        assert np.abs(cents).max() < 40.0


def test_noise_and_silence_have_no_pitch() -> None:
    x = white_noise(4.0, RATE)
    assert autocorrelation_track(correlogram(x, RATE)).voiced.mean() < 0.01
    assert dio_track(x, RATE).voiced.mean() < 0.01
    silence = np.zeros(RATE)
    assert not autocorrelation_track(correlogram(silence, RATE)).voiced.any()
    assert not dio_track(silence, RATE).voiced.any()


def test_voicing_begins_and_ends_where_it_does() -> None:
    """A voice from 0.3 to 0.7 s in noise 40 dB lower: edges within 25 ms."""
    x = 0.01 * white_noise(1.0, RATE)
    x[2400:5600] += pulse_train(200.0, 0.4, RATE)
    for track in (autocorrelation_track(correlogram(x, RATE)), dio_track(x, RATE)):
        voiced = np.flatnonzero(track.voiced)
        assert abs(voiced[0] - 60) <= 5
        assert abs(voiced[-1] - 140) <= 5


def test_the_best_lag_is_looked_for_near_the_period_only() -> None:
    x = pulse_train(200.0, 0.5, RATE, top=1000.0)
    gram = correlogram(x, RATE)
    frames = len(gram.values)
    inner = slice(EDGE, -EDGE)
    assert gram.best_near(np.full(frames, 200.0))[inner].min() > 0.98
    assert gram.best_near(np.full(frames, 194.0))[inner].min() > 0.98
    assert gram.best_near(np.full(frames, 150.0))[inner].max() < 0.6


def test_a_track_is_voiced_where_it_has_a_pitch() -> None:
    assert PitchTrack(np.array([0.0, 100.0])).voiced.tolist() == [False, True]

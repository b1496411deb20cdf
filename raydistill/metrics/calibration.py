"""Tests whether a vocoder's metrics tell a voice from a whisper, before they judge any student.

    python -m raydistill.metrics.calibration --dataset asterisk-en --sentences 20

Held-out sentences are judged in four kinds that are known beforehand: the natural recording; its
copy, synthesised by WORLD from the same features that students are given; a whisper, the same with
noise in the place of pulses; and half of each. A headline metric that does not put them in order
cannot say that a student whispers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tyro
from pydantic import ValidationError

from raydistill.console import prepare_output
from raydistill.data.raw import DataError
from raydistill.data.speech import SpeechConfig, Utterance
from raydistill.data.world import synthesise
from raydistill.metrics.audio import AudioError, audio_metrics, reference_of
from raydistill.metrics.distributions import Array
from raydistill.metrics.known_sounds import FEWEST
from raydistill.metrics.ordering import KINDS, Calibration, calibration_of
from raydistill.store.storage import Storage, StorageError

SHORTEST_SECONDS = 1.0


def calibrate(
    utterances: Sequence[Utterance],
    rate: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Measure the four known sounds of every utterance and compare them.

    Args:
        utterances: that no model was trained on, with their features.
        rate: Hz.
        on_progress: told how many are done, of how many.

    Raises:
        AudioError: if there are fewer than five.
    """
    if len(utterances) < FEWEST:
        raise AudioError(
            f"sentences: {len(utterances)} cannot be told from chance; at least {FEWEST} are needed"
        )
    judged: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for done, utterance in enumerate(utterances, 1):
        reference = reference_of(utterance.x.numpy(), rate)
        for kind, signal in kinds_of(utterance, rate).items():
            judged[kind].append(audio_metrics(signal, reference))
        on_progress(done, len(utterances))
    return calibration_of(judged)


def kinds_of(utterance: Utterance, rate: int) -> dict[str, Array]:
    """The four signals (N,) of an utterance; copy, half and whisper have one level."""
    features = utterance.features.numpy()
    made = {"copy": None, "half": 0.5, "whisper": 1.0}
    return {"natural": utterance.x.numpy()} | {
        kind: synthesise(features, rate, aperiodicity=share) for kind, share in made.items()
    }


def spread(utterances: Sequence[Utterance], rate: int, count: int) -> list[Utterance]:
    """At most `count` utterances of a second or more, spaced evenly through the list."""
    long_enough = [one for one in utterances if len(one.x) >= SHORTEST_SECONDS * rate]
    if len(long_enough) <= count:
        return long_enough
    places = np.linspace(0, len(long_enough) - 1, count).round().astype(int)
    return [long_enough[place] for place in places]


@dataclass(frozen=True)
class CalibrationSettings:
    """Check that the metrics tell a voice from a whisper.

    Attributes:
        dataset: as for a sweep: a data set's name, or `folder` or `ljspeech` with --root.
        root: where the data are, if not at the usual place.
        rate: samples a second.
        sentences: held-out sentences of at least a second.
        storage_path: where features are kept.
    """

    dataset: str = "asterisk-en"
    root: str | None = None
    rate: int = 8000
    sentences: int = 20
    storage_path: str = "results"


def main(settings: CalibrationSettings) -> int:
    """Print the table; exit status 1 if it is not in order, 2 if it cannot be made."""
    try:
        config = SpeechConfig(name=settings.dataset, root=settings.root, rate=settings.rate)
        data = config.load(Storage.open(settings.storage_path), _progress("analysed"))
        print(data.summary())
        chosen = spread(data.test, data.rate, settings.sentences)
        began = time.process_time()
        calibration = calibrate(chosen, data.rate, _progress("judged"))
    except ValidationError as error:
        print("; ".join(str(problem["msg"]) for problem in error.errors()), file=sys.stderr)
        return 2
    except (DataError, AudioError, StorageError) as error:
        print(error, file=sys.stderr)
        return 2
    seconds = sum(len(one.x) for one in chosen) / data.rate
    print(f"{len(chosen)} held-out sentences, {seconds:.0f} s, means ± standard errors\n")
    print(calibration.table())
    print(f"{(time.process_time() - began) / seconds:.3f} CPU-s a second of audio, four kinds")
    return 0 if calibration.ordered else 1


def _progress(what: str) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{what} {done} of {total}", end=end, file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    prepare_output()
    sys.exit(main(tyro.cli(CalibrationSettings, description=__doc__)))

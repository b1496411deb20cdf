"""How the vocoder's students are judged: by what they draw from the prior, never by S(T(x)).

T(x) carries the pitch of x, so that S(T(x)) sounds voiced whatever the student has learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from raydistill.data.world import synthesise
from raydistill.metrics.audio import Reference, audio_metrics, average_metrics, reference_of
from raydistill.record import SENTENCE, PerUnit
from raydistill.seeding import generator
from raydistill.students.conditioned import ConditionedFlow
from raydistill.tasks.vocoder.config import SpeechEvaluation
from raydistill.tasks.vocoder.corpus import Corpus, Sequences, dithered
from raydistill.tasks.vocoder.teacher import Coded, encode_utterance
from raydistill.teachers.conditioned import ConditionedTeacher
from raydistill.training.job import TrainingDivergedError

WHISPER, HALF = 1.0, 0.5
"""Aperiodicity of the synthetic whisper, and of half of one."""
SECOND_FRAMES = 200
"""Frames of a second, at 5 ms."""


@dataclass(frozen=True)
class Sentence:
    """An utterance to judge by.

    Attributes:
        name: of its file.
        text: its words, where they are known.
        audio: as recorded, (N,).
        raw: features as analysed, (F, C).
        features: standardised, (1, F, C), on the device.
        z: the noise that every student and the teacher are given, (1, N).
        coded: itself through the teacher.
        reference: what samples are judged against.
    """

    name: str
    text: str | None
    audio: Tensor
    raw: Tensor
    features: Tensor
    z: Tensor
    coded: Coded
    reference: Reference


class VocoderEvaluation:
    """Owns the sentences of the splits and judges students by them.

    Args:
        wanted: how many sentences, how long.
        corpus: the data.
        teacher: whose students are judged.
        device: where models live.
    """

    def __init__(
        self,
        wanted: SpeechEvaluation,
        corpus: Corpus,
        teacher: ConditionedTeacher,
        device: torch.device,
    ) -> None:
        self.wanted, self.corpus, self.teacher, self.device = wanted, corpus, teacher, device
        self._sentences: dict[str, tuple[Sentence, ...]] = {}

    def sentences(self, split: str) -> tuple[Sentence, ...]:
        """The sentences of a split, see `chosen_of`, cut to `seconds`."""
        if split not in self._sentences:
            asked = self.wanted.sentences if split == "test" else self.wanted.validation_sentences
            self._sentences[split] = tuple(
                self._sentence(split, index) for index in chosen_of(self.corpus.split(split), asked)
            )
        return self._sentences[split]

    @torch.no_grad()
    def evaluate(
        self, student: ConditionedFlow, matched_scale: float, split: str
    ) -> dict[str, float | PerUnit]:
        """Metrics of a student, means over sentences; see docs/metrics.md.

        At prior scale 1, and on the test split, with the suffix `_matched`, at the scale of what
        the student was given in training.
        """
        student.eval()
        metrics = over_sentences(self._judged(student, split))
        if split == "test":
            matched = metrics
            if matched_scale != 1.0:
                matched = over_sentences(self._judged(student, split, matched_scale))
            metrics |= {
                f"{name}_matched": value
                for name, value in matched.items()
                if not name.endswith(("_se", "_n", "_matched"))
            }
        metrics["prior_scale_matched"] = matched_scale
        metrics |= self._likelihoods(student, split)
        student.train()
        return metrics

    @torch.no_grad()
    def rows(
        self, student: ConditionedFlow, split: str, scale: float = 1.0
    ) -> list[dict[str, float]]:
        """Metrics of each sentence's sample."""
        return [
            audio_metrics(self.sample(student, sentence, scale).numpy(), sentence.reference)
            for sentence in self.sentences(split)
        ]

    @torch.no_grad()
    def sample(self, student: ConditionedFlow, sentence: Sentence, scale: float = 1.0) -> Tensor:
        """What a student draws for a sentence, (N,), full scale 1."""
        x = student.given(sentence.features)(scale * sentence.z)[0]
        if not bool(x.isfinite().all()):
            raise TrainingDivergedError(
                "the student's samples are not finite; lower optimiser.learning_rate or "
                "optimiser.clip"
            )
        scaled: Tensor = self.corpus.scale.spread * x.cpu()
        return scaled

    @torch.no_grad()
    def teacher_sample(self, sentence: Sentence) -> Tensor:
        """What the teacher draws for a sentence from the same noise."""
        x = self.teacher.given(sentence.features).decode(sentence.z)[0]
        return self.corpus.scale.spread * x.cpu()

    @property
    def floors(self) -> dict[str, Callable[[Sentence], Tensor]]:
        """By what students are read: sounds that are known to be good, and to be whispers."""
        rate = self.corpus.data.rate

        def world(sentence: Sentence, aperiodicity: float | None) -> Tensor:
            made = synthesise(sentence.raw.numpy(), rate, aperiodicity=aperiodicity)
            return torch.from_numpy(np.ascontiguousarray(made, dtype=np.float32))

        return {
            "natural": lambda sentence: sentence.audio,
            "teacher": self.teacher_sample,
            "copy": lambda sentence: world(sentence, None),
            "half": lambda sentence: world(sentence, HALF),
            "whisper": lambda sentence: world(sentence, WHISPER),
        }

    def floor_rows(self, split: str) -> dict[str, list[dict[str, float]]]:
        """Metrics of each floor, one row a sentence."""
        return {
            name: [
                audio_metrics(draw(sentence).numpy(), sentence.reference)
                for sentence in self.sentences(split)
            ]
            for name, draw in self.floors.items()
        }

    @cached_property
    def _natural(self) -> dict[str, float]:
        """Periodicity excess of the recordings of each split."""
        found = {}
        for split in ("validation", "test"):
            rows = [
                audio_metrics(sentence.audio.numpy(), sentence.reference)
                for sentence in self.sentences(split)
            ]
            found[split] = average_metrics(rows)["periodicity_excess"]
        return found

    def _judged(
        self, student: ConditionedFlow, split: str, scale: float = 1.0
    ) -> list[dict[str, float]]:
        """The rows with `whispering`: 0 where the excess is that of recordings, 1 without any."""
        natural = self._natural[split]
        return [
            row | {"whispering": 1.0 - row["periodicity_excess"] / natural}
            for row in self.rows(student, split, scale)
        ]

    def _likelihoods(self, student: ConditionedFlow, split: str) -> dict[str, float]:
        """Nats and distances a sample. None of them says whether a student whispers."""
        sums = dict.fromkeys(
            ("reverse_kl", "teacher_nll", "z_error_l1", "reconstruction_l1", "reconstruction_l2"),
            0.0,
        )
        total = 0
        for sentence in self.sentences(split):
            steps = student.given(sentence.features).steps(sentence.z)
            code = encode_utterance(self.teacher, steps.x[0], sentence.features[0])
            own = self.teacher.conditional.prior_log_prob(sentence.z) - steps.log_derivative
            rebuilt = student.given(sentence.features)(sentence.coded.z[None])[0]
            error = rebuilt - sentence.coded.x
            found = {
                "reverse_kl": (own[0] - code.log_prob).sum(),
                "teacher_nll": -code.log_prob.sum(),
                "z_error_l1": (code.z - sentence.z[0]).abs().sum(),
                "reconstruction_l1": error.abs().sum(),
                "reconstruction_l2": error.square().sum(),
            }
            for name, value in found.items():
                sums[name] += float(value)
            total += sentence.z.shape[1]
        return {name: value / total for name, value in sums.items()}

    def _sentence(self, split: str, index: int) -> Sentence:
        utterance, sequences = self.corpus.utterances(split)[index], self.corpus.split(split)
        hop = self.corpus.data.hop
        frames = min(
            len(utterance.features), int(self.wanted.seconds * self.corpus.data.rate / hop)
        )
        features = sequences.features_of(index)[:frames].to(self.device)
        x = sequences.x[sequences.samples_of(index)][: frames * hop].to(self.device)
        x = dithered(x, generator(self.device, "evaluation", split, "dither", index))
        random = generator(self.device, "evaluation", split, index)
        audio = utterance.x[: frames * hop]
        return Sentence(
            utterance.name,
            utterance.text,
            audio,
            utterance.features[:frames],
            features[None],
            self.teacher.conditional.sample_prior((1, frames * hop), random),
            encode_utterance(self.teacher, x, features),
            reference_of(audio.numpy(), self.corpus.data.rate),
        )


def over_sentences(rows: list[dict[str, float]]) -> dict[str, float | PerUnit]:
    """Means over sentences with each sentence's value; `_se` and `_n` as `average_metrics` says."""
    means: dict[str, float | PerUnit] = {**average_metrics(rows)}
    for name in rows[0]:
        mean = means[name]
        assert isinstance(mean, float)
        means[name] = PerUnit(SENTENCE, tuple(row[name] for row in rows), mean)
    return means


def chosen_of(sequences: Sequences, asked: int) -> list[int]:
    """Utterances to judge by: evenly spread over a split, those of a second first.

    A shorter one has few voiced frames; where less than `asked` are longer, all that are are taken,
    and shorter ones if they are less than two.
    """
    long = (sequences.frames >= SECOND_FRAMES).nonzero()[:, 0].numpy()
    if len(long) < 2:
        long = np.arange(len(sequences))
    places = np.linspace(0, len(long) - 1, min(asked, len(long))).round().astype(int)
    return [int(index) for index in long[np.unique(places)]]

"""The vocoder task of section 4.1.4: distil a SampleRNN on speech into a parallel student."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from raydistill.media.sounds import Sound
from raydistill.media.spectrograms import spectrogram
from raydistill.objectives import Batch, objective_class
from raydistill.record import Measured, SharedCost
from raydistill.seeding import generator
from raydistill.store.assets import Store
from raydistill.store.storage import Storage
from raydistill.students.base import Student
from raydistill.students.conditioned import ConditionedFlow
from raydistill.tasks.assets import TeacherAsset
from raydistill.tasks.trial_config import TrialConfig
from raydistill.tasks.vocoder.config import VocoderTrial
from raydistill.tasks.vocoder.corpus import Corpus, cut_frames, cut_samples, windows_or_error
from raydistill.tasks.vocoder.evaluation import VocoderEvaluation
from raydistill.tasks.vocoder.floors import Floors, FloorsPart, are_stored, as_columns, get_floors
from raydistill.tasks.vocoder.pairs import (
    Part,
    SpeechPairs,
    build_part,
    get_pairs,
    is_stored,
    parts_of,
)
from raydistill.tasks.vocoder.space import SpeechSpace
from raydistill.tasks.vocoder.teacher import get_teacher
from raydistill.teachers.conditioned import ConditionedTeacher
from raydistill.training.job import Progress, Workers


class VocoderTask:
    """Owns data, teacher, pairs and evaluation; shared by all trials that differ in the rest.

    Args:
        config: any trial of the sweep; data, teacher, pairs and evaluation are read.
        store: where assets are found or built.
        device: where everything lives.
        on_progress: told of the teacher's training, where it has to be trained.
    """

    def __init__(
        self,
        config: VocoderTrial,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.config, self.store, self.device = config, store, device
        self.corpus = _corpus(config, store)
        self.space = SpeechSpace.of_corpus(self.corpus, config.data, config.event_shape[0])
        self.trained = get_teacher(config, self.corpus, store, device, on_progress)
        assert isinstance(self.trained.teacher, ConditionedTeacher)
        self.teacher: ConditionedTeacher = self.trained.teacher
        self.train = self.corpus.train.to(device)
        self.evaluation = VocoderEvaluation(config.evaluation, self.corpus, self.teacher, device)
        self._pairs: dict[str, SpeechPairs] = {}

    @classmethod
    def create(
        cls,
        config: VocoderTrial,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        train_elsewhere: Callable[[Storage], None] | None = None,
    ) -> VocoderTask:
        """See `Task.create`.

        The teacher carries the state of its streams from update to update: one process trains it,
        however many share a student's updates.
        """
        return cls(config, store, device, on_progress)

    @classmethod
    def check_data(cls, config: VocoderTrial) -> None:
        """See `Task.check_data`."""
        config.data.check()

    @classmethod
    def train_teacher(
        cls,
        config: VocoderTrial,
        device: torch.device,
        work: Storage,
        workers: Workers,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """See `Task.train_teacher`."""
        raise NotImplementedError(
            "the vocoder's teacher carries the state of its streams from update to update; one "
            "process trains it"
        )

    @classmethod
    def get_teacher(
        cls,
        config: VocoderTrial,
        store: Store,
        device: torch.device,
        on_progress: Callable[[Progress], None],
    ) -> TeacherAsset:
        """See `Task.get_teacher`."""
        return get_teacher(config, _corpus(config, store), store, device, on_progress)

    @property
    def teacher_key(self) -> str:
        """What the teacher is named by: the beginning of the hash of its weights."""
        return self.trained.identity

    @property
    def teacher_found(self) -> bool:
        """Whether the store had it."""
        return self.trained.found

    @property
    def facts(self) -> tuple[str, ...]:
        """The data, and the teacher beside its baseline."""
        nll, codes = self.trained.info["test_nll"], self.trained.info["test_codes"]
        return (
            self.corpus.data.summary(),
            f"held-out nats a sample: teacher {nll['teacher']:.3f}, linear prediction "
            f"{nll['linear_prediction']:.3f}, the same given the features "
            f"{nll['conditioned_linear_prediction']:.3f}",
            f"codes of held-out speech: std {codes['std']:.3f}, kurtosis {codes['kurtosis']:.2f}, "
            f"periodicity at the pitch lag {codes['periodicity']:.3f} (white noise: 1, 3, "
            f"{codes['periodicity_white']:.3f})",
        )

    def parts(self, config: TrialConfig) -> tuple[Part | FloorsPart, ...]:
        """What a trial of this objective needs and the store lacks."""
        wanted, draws = self.config.pairs, objective_class(config.objective).draws
        parts: tuple[Part, ...] = ()
        if draws == "data pairs":
            parts = parts_of("data", wanted.data_copies, self.corpus.train)
        if draws == "oracle pairs":
            parts = parts_of("oracle", wanted.oracle_copies, self.corpus.train)
        missing: tuple[Part | FloorsPart, ...] = tuple(
            part for part in parts if not is_stored(part, self.trained, self.store)
        )
        if not are_stored(self.evaluation, self.trained, self.store):
            missing += (FloorsPart(),)
        return missing

    def build_part(self, part: Part | FloorsPart) -> None:
        """Build a part, unless the store has it."""
        if isinstance(part, FloorsPart):
            get_floors(self.evaluation, self.trained, self.store)
        else:
            build_part(part, self.trained, self.corpus.train, self.store, self.device)

    def build_student(self, config: TrialConfig) -> Student:
        """The untrained student of a trial: a function of its configuration and seed."""
        assert isinstance(config, VocoderTrial)
        return self.space.build_student(config).to(self.device)

    def draw(self, config: TrialConfig) -> Callable[[int, slice], Batch]:
        """From an update to its batch: windows of training speech, codes or noise for them.

        Codes are windows of codes of whole utterances.
        """
        assert isinstance(config, VocoderTrial)
        count, draws = config.budget.batch_size, objective_class(config.objective).draws
        frames, hop = config.frames, self.train.hop
        windows = windows_or_error(self.train, frames, "window").to(self.device)
        noisy, powered = config.noise_level > 0.0, config.power.weight > 0.0
        pairs = self._pairs_of(draws) if draws != "prior" else None

        def draw(update: int, share: slice) -> Batch:
            random = generator(self.device, "student", config.seed, update)
            index = torch.randint(len(windows), (count,), generator=random, device=self.device)
            z = torch.randn(count, frames * hop, generator=random, device=self.device)[share]
            first, x, noise = windows[index][share], None, None
            if pairs is not None:
                copy = torch.randint(len(pairs.x), (1,), generator=random, device=self.device)
                # The noise was drawn for all objectives alike: they see the same windows.
                noise = z if noisy else None
                x = cut_samples(pairs.x[copy[0]], first, frames, hop)
                z = cut_samples(pairs.z[copy[0]], first, frames, hop)
            return Batch(
                z,
                x,
                noise,
                cut_frames(self.train.features, first, frames),
                config.context,
                cut_samples(self.train.x, first, frames, hop) if powered else None,
            )

        return draw

    def evaluate(
        self,
        student: Student,
        config: TrialConfig,
        split: Literal["validation", "test"],
        *,
        brief: bool = False,
        seen: Mapping[str, float] | None = None,
    ) -> Measured:
        """See `VocoderEvaluation.evaluate`."""
        assert isinstance(student, ConditionedFlow)
        return self.evaluation.evaluate(student, self.matched_scale(config), split)

    def shared_costs(self, config: TrialConfig) -> tuple[SharedCost, ...]:
        """See `Task.shared_costs`."""
        draws, whose = objective_class(config.objective).draws, f"of teacher {self.teacher_key}"
        assert self.trained.cost is not None
        found = [self.trained.cost.shared(f"teacher {self.teacher_key}", "teacher")]
        if draws == "data pairs":
            words = f"codes of {self.config.pairs.data_copies} copies of the speech {whose}"
            found.append(self._pairs_of(draws).cost.shared(words, "pairs"))
        if draws == "oracle pairs":
            words = f"{self.config.pairs.oracle_copies} copies of the speech decoded {whose}"
            found.append(self._pairs_of(draws).cost.shared(words, "decoding"))
        found.append(self.floors.cost.shared(f"floors {whose}", "judging"))
        return tuple(found)

    def matched_scale(self, config: TrialConfig) -> float:
        """Standard deviation of what a student is given in training; see `docs/metrics.md`."""
        coded = objective_class(config.objective).draws == "data pairs"
        return config.matched_scale(self._code_deviation if coded else 1.0)

    @cached_property
    def _code_deviation(self) -> float:
        """Of the training split's codes, which students are given."""
        return float(self._pairs_of("data pairs").z.double().std())

    @cached_property
    def floors(self) -> Floors:
        """The metrics of known sounds."""
        return get_floors(self.evaluation, self.trained, self.store)

    @property
    def references(self) -> dict[str, Measured]:
        """The floors, on the test split, and what is known of the teacher."""
        info = self.trained.info
        return {
            **{f"{name}_test": means for name, means in self.floors.means.items()},
            "nll": info["test_nll"],
            "codes": info["test_codes"],
        }

    def arrays(self, student: Student, config: TrialConfig) -> dict[str, Tensor]:
        """One value a test sentence: the student's metrics, `matched/` at the matched scale.

        Those of the floors under `floor/NAME/`.
        """
        assert isinstance(student, ConditionedFlow)
        student.eval()
        found = as_columns(self.evaluation.rows(student, "test"))
        scale = self.matched_scale(config)
        if scale != 1.0:
            matched = as_columns(self.evaluation.rows(student, "test", scale))
            found |= {f"matched/{name}": values for name, values in matched.items()}
        for floor, columns in self.floors.rows.items():
            found |= {f"floor/{floor}/{name}": values for name, values in columns.items()}
        student.train()
        return found

    @torch.no_grad()
    def pictures(
        self, student: Student, config: TrialConfig, seen: Mapping[str, float] | None = None
    ) -> dict[str, Tensor]:
        """Spectrograms in [0, 1], one below another: (sentences, 1, 1, bins, frames)."""
        return {
            name: torch.stack([spectrogram(sound.samples) for sound in sounds])[:, None]
            for name, sounds in self._sounds(student, config).items()
            if name != "copy"
        }

    def sounds(self, student: Student, config: TrialConfig) -> dict[str, Sound]:
        """Some sentences of the test split by name: NAME_0 and so on."""
        return {
            f"{name}_{index}": sound
            for name, sounds in self._sounds(student, config).items()
            for index, sound in enumerate(sounds)
        }

    def _sounds(self, student: Student, config: TrialConfig) -> dict[str, list[Sound]]:
        assert isinstance(student, ConditionedFlow)
        student.eval()
        evaluation, rate = self.evaluation, self.corpus.data.rate
        chosen = evaluation.sentences("test")[: self.config.evaluation.sounds]
        scale = self.matched_scale(config)
        found = {"student": [Sound(evaluation.sample(student, s), rate) for s in chosen]}
        if scale != 1.0:
            found["student_matched"] = [
                Sound(evaluation.sample(student, s, scale), rate) for s in chosen
            ]
        for name in ("natural", "copy", "teacher"):
            draw = evaluation.floors[name]
            found[name] = [Sound(draw(s), rate) for s in chosen]
        student.train()
        return found

    def _pairs_of(self, draws: str) -> SpeechPairs:
        if draws not in self._pairs:
            wanted = self.config.pairs
            data = draws == "data pairs"
            self._pairs[draws] = get_pairs(
                "data" if data else "oracle",
                wanted.data_copies if data else wanted.oracle_copies,
                self.trained,
                self.corpus.train,
                self.store,
                self.device,
            )
        return self._pairs[draws]


def _corpus(config: VocoderTrial, store: Store) -> Corpus:
    """The data set, its features kept in the store."""
    return Corpus(config.data.load(store.storage.child("speech")))

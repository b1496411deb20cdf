"""Speech as models see it: standardised samples and features, at one rate."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from raydistill.config.errors import ConfigError
from raydistill.data.speech import SpeechConfig
from raydistill.data.world import feature_count, hop_of
from raydistill.seeding import generator
from raydistill.students.base import Student
from raydistill.students.conditioned import ConditionedFlow
from raydistill.tasks.space import Space
from raydistill.tasks.vocoder.config import VocoderTrial
from raydistill.tasks.vocoder.corpus import Corpus, dithered
from raydistill.teachers.base import Teacher, TeacherConfig


class SpeechSpace(Space):
    """Models compute on standardised samples; values are sound at full scale 1.

    Attributes:
        data: the data set.
        rate: samples a second.
        window: samples of a training example.
        spread: standard deviation of the training samples.
        centre, deviation: of the training features, one number a feature.
    """

    task: Literal["vocoder"] = "vocoder"
    data: SpeechConfig
    rate: int = Field(ge=1)
    window: int = Field(ge=1)
    spread: float = Field(gt=0.0)
    centre: tuple[float, ...]
    deviation: tuple[float, ...]

    @model_validator(mode="after")
    def _one_number_a_feature(self) -> SpeechSpace:
        if not len(self.centre) == len(self.deviation) == self.features:
            raise ValueError(
                f"centre: {len(self.centre)} and deviation: {len(self.deviation)} numbers do not "
                f"fit the {self.features} features of {self.rate} Hz"
            )
        return self

    @classmethod
    def of_corpus(cls, corpus: Corpus, data: SpeechConfig, window: int) -> SpeechSpace:
        """As the corpus of a data set is standardised."""
        scale = corpus.scale
        return cls(
            data=data,
            rate=corpus.data.rate,
            window=window,
            spread=scale.spread,
            centre=tuple(scale.centre.tolist()),
            deviation=tuple(scale.deviation.tolist()),
        )

    @classmethod
    def of_data(cls, config: VocoderTrial) -> SpeechSpace:
        return cls.of_corpus(Corpus(config.data.load()), config.data, config.event_shape[0])

    @property
    def features(self) -> int:
        """Numbers of conditioning a frame."""
        return feature_count(self.rate)

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return hop_of(self.rate)

    def build_student(self, config: VocoderTrial) -> Student:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            student = config.student.build(config.event_shape)
        if not isinstance(student, ConditionedFlow):
            raise ConfigError(
                f"student.kind: {config.student.kind!r} builds a {type(student).__name__}, and the "
                "vocoder distils into a ConditionedFlow; derive from "
                "raydistill.students.conditioned.ConditionedFlow"
            )
        return student

    def build_teacher(self, model: TeacherConfig) -> Teacher:
        return model.build((self.window,))

    def standardise(self, features: Tensor) -> Tensor:
        """Features (F, C) as analysed, as models see them."""
        centre, deviation = features.new_tensor(self.centre), features.new_tensor(self.deviation)
        return (features - centre) / deviation

    def to_values(self, x: Tensor) -> Tensor:
        return self.spread * x

    def to_model(self, values: Tensor) -> Tensor:
        return values / self.spread

    def make_continuous(self, values: Tensor, seed: int) -> Tensor:
        """With dither: digital silence has no density."""
        random = generator(values.device, "dither", seed)
        return self.spread * dithered(values / self.spread, random)

    def log_prob_of_values(self, log_prob: Tensor, x: Tensor) -> Tensor:
        return log_prob - x[0].numel() * torch.log(x.new_tensor(self.spread))

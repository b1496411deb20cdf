"""A trained student: loaded from its trial's folder, sampled in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raydistill.api.codes import (
    check_count,
    draw_code,
    draw_codes,
    like_weights,
    prior_of,
    scale_or_error,
)
from raydistill.api.locate import Location, Trial, store_beside
from raydistill.api.speech import Features, Recording, features_for, require_no_conditioning
from raydistill.api.values import (
    Codes,
    Samples,
    as_samples,
    in_parts,
    require_list,
    require_shape,
)
from raydistill.conditionals.priors import Prior
from raydistill.export import Exported, Format, export_student
from raydistill.networks.summary import parameter_count
from raydistill.record import Record
from raydistill.students.base import Student
from raydistill.students.conditioned import ConditionedFlow
from raydistill.tasks.space import Space
from raydistill.tasks.trial_config import TrialConfig
from raydistill.tasks.vocoder.space import SpeechSpace
from raydistill.trials.card import CARD


@dataclass(frozen=True, repr=False)
class LoadedStudent:
    """A student after its last update, ready to sample. `load_student` makes it.

    Attributes:
        module: the student, frozen, on its device.
        trial: folder, record and configuration.
        space: the scale of the data, and what its numbers mean.
        replica: which of a stack of students this is; None for the whole of what was trained.

    Example:
        >>> import raydistill as rd
        >>> from tempfile import TemporaryDirectory
        >>> config = rd.parse_trial({
        ...     "task": "gaussian", "dimension": 2, "replicas": 1,
        ...     "budget": {"updates": 10, "batch_size": 4},
        ... })
        >>> with TemporaryDirectory() as folder:
        ...     student = rd.distill(config, storage=folder, name="tiny").student
        >>> student
        LoadedStudent(kind='linear', task='gaussian', objective='x_reconstruction', ...)
        >>> student.sample(5, seed=0).shape
        torch.Size([5, 1, 2])
    """

    module: Student
    trial: Trial
    space: Space
    replica: int | None = None

    @property
    def config(self) -> TrialConfig:
        """The trial's configuration."""
        return self.trial.config

    @property
    def record(self) -> Record:
        """The trial's outcome: metrics, floors, cost."""
        return self.trial.record

    @property
    def teacher_key(self) -> str:
        """Content hash of the teacher; `load_teacher` takes it."""
        return self.record.teacher

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.module.event_shape)

    @property
    def matched_scale(self) -> float:
        """Standard deviation of what it was given in training: of its codes and their noise."""
        # Records of earlier versions do not say it: there the codes count as N(0, 1).
        return self._measured_scale("prior_scale_matched") or self.config.matched_scale(1.0)

    @property
    def best_scale(self) -> float | None:
        """The prior scale that the validation split chose; None where none was chosen."""
        return self._measured_scale("prior_scale_best")

    def _measured_scale(self, name: str) -> float | None:
        return self.record.metrics("test").get(name)

    @property
    def prior(self) -> Prior:
        """The distribution of z at scale 1."""
        return prior_of(self.config.teacher_model.normal_prior)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        scale: float | None = None,
        features: Features | None = None,
        recording: Recording | None = None,
    ) -> Samples:
        """Draw z from the prior and map it to samples.

        A function of the arguments: equal seeds give equal samples on one kind of device, to the
        last bit with the same number of threads. The first n samples of 2n are those of n, up to
        rounding.

        Args:
            n: how many.
            seed: of the codes, 0 or more.
            scale: standard deviation of z (a temperature); None is 1. Students often do better at
                another, such as their `best_scale`.
            features: of students of speech, (F, C) as `raydistill.data.world.analyse` gives them,
                or one such array a sample.
            recording: of students of speech: a WAV or FLAC file, or a `Sound`, whose features are
                taken. With neither, sentences of the data set's test split are.

        Returns:
            Images (n, C, H, W) in [0, 1], continuous: `space.to_recorded(images)` has the grey
            levels of data, for whatever sets the two side by side; n sounds; vectors (n, T), or
            (n, K, T) of a stack.

        Raises:
            ValueError: an argument does not fit the student.
            DataError: a student of speech is given neither, and its data set is absent.
        """
        check_count(n)
        scale = scale_or_error(scale, self.prior)
        if isinstance(self.module, ConditionedFlow):
            space = self._speech
            store = store_beside(self.trial.folder)
            given = features_for(space, n, features, recording, store)
            z: Codes = [
                scale * draw_code(self.prior, (len(one) * space.hop,), seed, index)
                for index, one in enumerate(given)
            ]
            return self.decode(z, features=given)
        require_no_conditioning(features, recording)
        return self.decode(scale * draw_codes(self.prior, n, self.event_shape, seed))

    def decode(self, z: Codes, *, features: Features | None = None) -> Samples:
        """S(z) as `sample` returns it: of a teacher's codes, reconstructions.

        Args:
            z: (n, *event_shape); of students of speech a list of (N,), N a multiple of the
                features' hop.
            features: of students of speech, what the sounds are conditioned on; see `sample`.

        Raises:
            ValueError: shapes do not fit.
        """
        return as_samples(self.space, self.forward(z, features=features))

    def forward(self, z: Codes, *, features: Features | None = None) -> Tensor | list[Tensor]:
        """S(z) in the model's own numbers: logits of images, standardised samples of speech.

        Args:
            z, features: see `decode`.
        """
        module = self.module
        if isinstance(module, ConditionedFlow):
            codes = require_list("z", z)
            if features is None:
                raise ValueError("features: this student is conditioned; give them, (F, C)")
            given = features_for(self._speech, len(codes), features, None, None)
            return [
                self._one(module, one, conditioning)
                for one, conditioning in zip(codes, given, strict=True)
            ]
        require_no_conditioning(features, None)
        if not isinstance(z, Tensor):
            raise ValueError(f"z: {type(z).__name__} is no tensor; give (n, *event_shape)")
        require_shape("z", z, self.event_shape)
        return in_parts(module, module, z)

    def export(
        self, folder: Location, format: Format = "torch-export", *, overwrite: bool = False
    ) -> Exported:
        """Write it as a folder that runs without this package; see `raydistill.export`.

        Its card goes along.

        Args:
            folder: a local path, new or empty.
            format: `torch-export`, `onnx` or `safetensors`.
            overwrite: replace an earlier export in this folder.

        Raises:
            ExportError: format, folder or model do not allow it.

        Example:
            >>> import raydistill as rd
            >>> student = rd.load_student("results/noise/trial_00003")  # doctest: +SKIP
            >>> student.export("student", "onnx")  # doctest: +SKIP
        """
        trial = self.trial.folder
        return export_student(
            self.module,
            folder,
            format,
            config=self.config.student,
            scale=self.space if isinstance(self.space, SpeechSpace) else None,
            card=trial.read(CARD).decode() if trial.exists(CARD) else None,
            overwrite=overwrite,
        )

    @torch.no_grad()
    def _one(self, module: ConditionedFlow, z: Tensor, features: Tensor) -> Tensor:
        if len(z) != len(features) * module.hop:
            raise ValueError(
                f"z: {len(z)} samples do not fit {len(features)} frames of {module.hop}"
            )
        conditioning = like_weights(module, self._speech.standardise(features))
        x: Tensor = module.given(conditioning[None])(like_weights(module, z)[None])[0]
        return x.cpu()

    @property
    def _speech(self) -> SpeechSpace:
        assert isinstance(self.space, SpeechSpace)
        return self.space

    def __repr__(self) -> str:
        config = self.config
        facts = {
            "kind": config.student.kind,
            "task": config.task,
            "objective": config.objective.kind,
            "event_shape": self.event_shape,
            "parameters": parameter_count(self.module),
            "teacher": self.teacher_key,
            "trial": self.record.trial,
        }
        if self.replica is not None:
            facts["replica"] = self.replica
        return f"LoadedStudent({', '.join(f'{name}={value!r}' for name, value in facts.items())})"

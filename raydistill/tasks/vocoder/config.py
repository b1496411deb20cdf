"""The configuration of the vocoder task's trials (section 4.1.4)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from raydistill.config.base import FrozenConfig
from raydistill.config.optimiser import BudgetConfig, OptimiserConfig
from raydistill.data.files import DataFile
from raydistill.data.speech import SpeechConfig
from raydistill.objectives import (
    Extra,
    ObjectiveConfig,
    PowerLoss,
    PowerLossConfig,
    XReconstructionConfig,
)
from raydistill.students.base import StudentConfig
from raydistill.tasks.models import resolve_student, resolve_teacher
from raydistill.tasks.trial_config import TrialConfig
from raydistill.teachers.base import TeacherConfig
from raydistill.teachers.samplernn import SampleRNNConfig

TEST_METRICS = frozenset(
    {
        "whispering_matched",
        "periodicity_excess_matched",
        "harmonics_to_noise_matched",
        "voiced_recall_acf_matched",
        "voiced_level_db_matched",
    }
)
"""Metrics that are computed once, on the test split."""


class SpeechTeacherTraining(FrozenConfig):
    """A teacher and how it is trained. Together with the data this determines its content hash.

    Attributes:
        model: the teacher's configuration.
        window: samples of each sequence in one update; the state is carried over to the next update
            (truncated back-propagation through time).
        optimiser, seed: how it is trained.
        budget: how long; `batch_size` is the number of sequences trained on side by side.
        threads: CPU threads for training the teacher, and for what is computed once with it.
    """

    model: Annotated[SerializeAsAny[TeacherConfig], BeforeValidator(resolve_teacher)] = Field(
        default_factory=lambda: resolve_teacher({"kind": "samplernn"})
    )
    window: int = Field(default=2400, ge=40)
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=2e-3)
    budget: BudgetConfig = BudgetConfig(
        updates=3000, batch_size=16, evaluate_every=500, checkpoint_every=100
    )
    threads: int = Field(default=1, ge=1, le=64)
    seed: int = Field(default=0, ge=0)


class SpeechPairConfig(FrozenConfig):
    """Sizes of the sets of pairs (x, z), which are computed once and shared by all trials.

    Attributes:
        data_copies: for x-reconstruction: how many times the training split is dithered, each time
            with fresh noise, and encoded.
        oracle_copies: for oracle prediction: how many times noise is decoded with the conditioning
            of the whole training split.
    """

    data_copies: int = Field(default=2, ge=1)
    oracle_copies: int = Field(default=1, ge=1)


class SpeechEvaluation(FrozenConfig):
    """How a student is evaluated, always on samples from the prior.

    Attributes:
        sentences: most sentences of the test split.
        validation_sentences: most sentences of the validation split, at every evaluation.
        seconds: longer sentences are cut to this length.
        sounds: how many sentences of the test split are kept as sounds to listen to.
    """

    sentences: int = Field(default=20, ge=2)
    validation_sentences: int = Field(default=6, ge=2)
    seconds: float = Field(default=4.0, gt=0.2)
    sounds: int = Field(default=3, ge=1)


class VocoderTrial(TrialConfig):
    """One distillation trial of the vocoder task, with the `small` preset's defaults.

    Attributes:
        data: which recordings.
        teacher: the teacher and its training.
        student: the student's configuration.
        objective: what the student is trained on.
        window: samples of an example from which the loss is computed.
        context: samples before the window that only provide its past.
        power: the power loss, which can be added to every objective.
        pairs: sizes of the sets of pairs.
        evaluation: how students are evaluated.

    Example:
        >>> from raydistill.tasks.vocoder.config import VocoderTrial
        >>> trial = VocoderTrial(window=800, context=200)
        >>> trial.event_shape, trial.frames  # samples, and frames of conditioning
        ((1000,), 25)
    """

    shared_fields = frozenset({"task", "data", "teacher", "pairs", "evaluation"})

    task: Literal["vocoder"] = "vocoder"
    data: SpeechConfig = SpeechConfig()
    teacher: SpeechTeacherTraining = Field(default_factory=SpeechTeacherTraining)
    student: Annotated[SerializeAsAny[StudentConfig], BeforeValidator(resolve_student)] = Field(
        default_factory=lambda: resolve_student({"kind": "wavenet_flow"})
    )
    objective: ObjectiveConfig = XReconstructionConfig(l1_weight=1.0)
    window: int = Field(default=2400, ge=40)
    context: int = Field(default=600, ge=0)
    power: PowerLossConfig = PowerLossConfig()
    pairs: SpeechPairConfig = SpeechPairConfig()
    evaluation: SpeechEvaluation = SpeechEvaluation()
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=2e-3)
    budget: BudgetConfig = BudgetConfig(
        updates=800, batch_size=8, evaluate_every=200, checkpoint_every=50
    )

    @field_validator("teacher", "window", "context")
    @classmethod
    def _whole_frames(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse windows that are no whole number of frames, before the models are checked."""
        field = str(info.field_name)
        samples = value.window if isinstance(value, SpeechTeacherTraining) else value
        field += ".window" if samples is not value else ""
        data = info.data.get("data")
        if isinstance(data, SpeechConfig) and samples % data.hop:
            raise ValueError(
                f"{field}: {samples} samples are no whole number of frames of {data.hop}; give a "
                "multiple"
            )
        return value

    @model_validator(mode="after")
    def _one_frame_rate(self) -> Self:
        """Refuse models whose frames differ from those of the data."""
        hop, features = self.data.hop, self.data.features
        for node, model in (("teacher.model", self.teacher.model), ("student", self.student)):
            for field, wanted in (("features", features), ("hop", hop)):
                found = getattr(model, field, None)
                if found is None:
                    raise ValueError(
                        f"{node}.kind: {model.kind!r} takes no conditioning; choose a model with "
                        "fields `features` and `hop`, such as samplernn and wavenet_flow"
                    )
                if found != wanted:
                    raise ValueError(
                        f"{node}.{field}: {found} does not fit data.rate {self.data.rate}; give "
                        f"{wanted}"
                    )
        if not isinstance(self.teacher.model, SampleRNNConfig):
            raise ValueError(
                f"teacher.model.kind: {self.teacher.model.kind!r} carries no state from window to "
                "window, and the vocoder's teachers are trained by streams; choose samplernn, or a "
                "configuration of your own that derives from SampleRNNConfig"
            )
        if not self.student.is_flow:
            raise ValueError(
                f"student.kind: {self.student.kind!r} is no flow, and a vocoder student says the "
                "log-determinant of each sample; choose wavenet_flow, or a ConditionedFlow of your "
                "own"
            )
        if self.power.weight > 0.0 and self.power.window > self.window:
            raise ValueError(
                f"power.window: {self.power.window} is longer than the {self.window} samples that "
                "are scored; give less, or a longer window"
            )
        return self

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.context + self.window,)

    @property
    def frames(self) -> int:
        """Frames of one example."""
        return (self.context + self.window) // self.data.hop

    @property
    def headline(self) -> str:
        return "whispering"

    def why_unmeasured(self, metric: str, split: str) -> str:
        if split != "test" and metric in TEST_METRICS:
            return (
                f"metric: {metric!r} is measured on the test split alone; choose another to rank by"
            )
        return ""

    @property
    def teacher_model(self) -> TeacherConfig:
        return self.teacher.model

    @property
    def dataset(self) -> str:
        return self.data.name

    @property
    def teacher_threads(self) -> int:
        return self.teacher.threads

    @property
    def data_key(self) -> str:
        return self.data.model_dump_json()

    @property
    def data_folder(self) -> str | None:
        return self.data.folder

    def data_files(self) -> tuple[DataFile, ...]:
        return self.data.files()

    def reading_from(self, folder: str) -> Self:
        return self.model_copy(update={"data": self.data.reading_from(folder)})

    def describe(self) -> str:
        return f"{self.data.name} at {self.data.rate} Hz"

    def extra_loss(self) -> Extra | None:
        return PowerLoss(self.power) if self.power.weight > 0.0 else None

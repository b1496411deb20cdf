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
"""What is measured once, on the test split."""


class SpeechTeacherTraining(FrozenConfig):
    """A teacher and how it is trained; with the data, what its hash is made of.

    Attributes:
        window: samples of each stream that an update sees; the state is carried from one to the
            next (truncated back-propagation through time). `budget.batch_size` is the streams.
        threads: of training and of what is computed once with it.
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


class SpeechPairs(FrozenConfig):
    """Sets of (x, z) that are encoded or decoded once and shared by all trials.

    Attributes:
        data_copies: how often the training split is dithered afresh and encoded.
        oracle_copies: how often the training split's conditioning is given fresh noise to decode.
    """

    data_copies: int = Field(default=2, ge=1)
    oracle_copies: int = Field(default=1, ge=1)


class SpeechEvaluation(FrozenConfig):
    """How a student is judged, always on samples from the prior.

    Attributes:
        sentences: of the test split at most.
        validation_sentences: of the validation split at most, at every evaluation.
        seconds: what is longer is cut there.
        sounds: sentences of the test split that are kept to listen to.
    """

    sentences: int = Field(default=20, ge=2)
    validation_sentences: int = Field(default=6, ge=2)
    seconds: float = Field(default=4.0, gt=0.2)
    sounds: int = Field(default=3, ge=1)


class VocoderTrial(TrialConfig):
    """One distillation trial of the vocoder task; defaults are the `small` preset's.

    Attributes:
        window: scored samples of one example.
        context: samples before them that give the student and the teacher their past.
        power: the power loss, an option of every objective.
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
    pairs: SpeechPairs = SpeechPairs()
    evaluation: SpeechEvaluation = SpeechEvaluation()
    optimiser: OptimiserConfig = OptimiserConfig(learning_rate=2e-3)
    budget: BudgetConfig = BudgetConfig(
        updates=800, batch_size=8, evaluate_every=200, checkpoint_every=50
    )

    @field_validator("teacher", "window", "context")
    @classmethod
    def _whole_frames(cls, value: Any, info: ValidationInfo) -> Any:
        """Windows hold whole frames; checked before the models are."""
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
        """Models and data agree in frames."""
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

    def describe(self) -> str:
        return f"{self.data.name} at {self.data.rate} Hz"

    def extra_loss(self) -> Extra | None:
        return PowerLoss(self.power) if self.power.weight > 0.0 else None

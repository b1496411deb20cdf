"""A trained teacher: loaded by its key or by a trial that used it; samples, codes, likelihoods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from raydistill.api.codes import (
    check_count,
    draw_code,
    draw_codes,
    like_weights,
    scale_or_error,
)
from raydistill.api.locate import Location
from raydistill.api.speech import (
    Features,
    Recording,
    features_for,
    features_of_sound,
    require_no_conditioning,
)
from raydistill.api.values import Codes, Samples, as_samples, in_parts, require_list, require_shape
from raydistill.conditionals.priors import Prior
from raydistill.export import Exported, Format, export_teacher
from raydistill.media.sounds import Sound
from raydistill.networks.summary import parameter_count
from raydistill.store.assets import Store
from raydistill.tasks.assets import require_finite
from raydistill.tasks.space import Space
from raydistill.tasks.vocoder.space import SpeechSpace
from raydistill.teachers.base import Teacher
from raydistill.teachers.conditioned import ConditionedTeacher


@dataclass(frozen=True)
class _Coded:
    """Codes of values, and log p_T of the values in nats, (n,)."""

    z: Codes
    log_prob: Tensor


@dataclass(frozen=True, repr=False)
class LoadedTeacher:
    """A trained teacher, frozen. `load_teacher` and `train_teacher` make it.

    Samples and what `encode` and `log_prob` take are values: images in [0, 1], sounds, vectors. The
    map from a model's own numbers (logits, standardised samples) to values rounds; whoever needs
    the exact bijection in single precision takes `module`.

    Attributes:
        module: the teacher, on its device.
        key: what it is named by, the beginning of the hash of its weights.
        space: the scale of the data, and what its numbers mean.
        prior: the distribution of z at scale 1.
        info: what was measured when it was trained: held-out likelihood with baselines, codes.
        store: where it came from; features of its data set may be kept there.

    Example:
        >>> import torch
        >>> import raydistill as rd
        >>> from tempfile import TemporaryDirectory
        >>> config = rd.parse_trial({"task": "gaussian", "dimension": 2, "replicas": 1})
        >>> with TemporaryDirectory() as folder:
        ...     teacher = rd.train_teacher(config, storage=folder)
        >>> teacher
        LoadedTeacher(kind='GaussianTeacher', task='gaussian', key=..., event_shape=(1, 2), ...)
        >>> x = teacher.sample(5, seed=0)
        >>> torch.allclose(teacher.decode(teacher.encode(x)), x)
        True
        >>> teacher.log_prob(x).shape
        torch.Size([5])
    """

    module: Teacher
    key: str
    space: Space
    prior: Prior
    info: dict[str, Any] = field(default_factory=dict)
    store: Store | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example; of speech, of a training window."""
        return tuple(self.module.event_shape)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        scale: float | None = None,
        method: str | None = None,
        features: Features | None = None,
        recording: Recording | None = None,
    ) -> Samples:
        """Exact draws from p_T: z from the prior, decoded one dimension after another.

        A student of the same task draws the same z from the same seed, so that the two can be
        compared sample by sample.

        Args:
            n: how many.
            seed: of the codes, 0 or more.
            scale: standard deviation of z (a temperature); None is 1.
            method: one of `module.decode_methods`; None takes the first.
            features, recording: what a teacher of speech is conditioned on; see
                `LoadedStudent.sample`, also for what is returned.

        Raises:
            ValueError: an argument does not fit the teacher.
            DataError: a teacher of speech is given neither, and its data set is absent.
            SamplesDivergedError: draws are not finite.
        """
        check_count(n)
        scale = scale_or_error(scale, self.prior)
        if isinstance(self.module, ConditionedTeacher):
            space = self._speech
            given = features_for(space, n, features, recording, self.store)
            z: Codes = [
                scale * draw_code(self.prior, (len(one) * space.hop,), seed, index)
                for index, one in enumerate(given)
            ]
            return self.decode(z, method=method, features=given)
        require_no_conditioning(features, recording)
        codes = scale * draw_codes(self.prior, n, self.event_shape, seed)
        return self.decode(codes, method=method)

    def encode(
        self,
        values: Samples,
        *,
        dequantise_seed: int | None = None,
        features: Features | None = None,
    ) -> Codes:
        """z = T(x), in one parallel pass.

        Args:
            values: what `sample` returns: images (n, C, H, W) in [0, 1], sounds, vectors.
            dequantise_seed: None takes values as points of a continuous space, as samples are.
                Recorded data are discrete: a seed adds the noise that training adds, uniform
                within a grey level, or dither. Without it codes of data are no draws of the prior.
            features: of speech, what the sounds are conditioned on; None analyses them.

        Returns:
            (n, *event_shape); of sounds a list of (N,), N cut to whole frames.

        Raises:
            ValueError: shapes or values do not fit.
        """
        return self._coded(values, dequantise_seed, features).z

    def decode(
        self, z: Codes, *, method: str | None = None, features: Features | None = None
    ) -> Samples:
        """T^-1(z) as `sample` returns it.

        Args:
            z: (n, *event_shape); of speech a list of (N,).
            method: one of `module.decode_methods`; None takes the first.
            features: of speech, what the sounds are conditioned on.

        Raises:
            ValueError: shapes do not fit.
            SamplesDivergedError: what is decoded is not finite.
        """
        module = self.module
        if isinstance(module, ConditionedTeacher):
            codes = require_list("z", z)
            if features is None:
                raise ValueError("features: this teacher is conditioned; give them, (F, C)")
            given = features_for(self._speech, len(codes), features, None, None)
            decoded = []
            for one, conditioning in zip(codes, given, strict=True):
                bound = module.given(self._conditioning(conditioning))
                x = bound.decode(like_weights(module, one)[None], method)
                require_finite(x, self.key)
                decoded.append(x[0].cpu())
            return as_samples(self.space, decoded)
        require_no_conditioning(features, None)
        if not isinstance(z, Tensor):
            raise ValueError(f"z: {type(z).__name__} is no tensor; give (n, *event_shape)")
        require_shape("z", z, self.event_shape)
        x = in_parts(lambda part: module.decode(part, method), module, z)
        require_finite(x, self.key)
        return as_samples(self.space, x)

    def log_prob(
        self,
        values: Samples,
        *,
        dequantise_seed: int | None = None,
        features: Features | None = None,
    ) -> Tensor:
        """Exact log-density of values, nats, (n,); arguments as for `encode`.

        Of images it is the density on the unit cube; of sounds, on samples at full scale 1, whole
        sounds given their features.
        """
        return self._coded(values, dequantise_seed, features).log_prob

    def bits_per_dimension(self, images: Tensor, *, dequantise_seed: int = 0) -> Tensor:
        """Bits a dimension of discrete images (n, C, H, W) in [0, 1], (n,): an upper bound.

        Samples are continuous: `space.to_recorded` makes them discrete.

        Raises:
            ValueError: the teacher is none of images.
        """
        x = self._as_model(images, dequantise_seed)
        return self.space.bits_per_dimension(in_parts(self.module.log_prob, self.module, x), x)

    def export(
        self, folder: Location, format: Format = "torch-export", *, overwrite: bool = False
    ) -> Exported:
        """Write `module.encode` as a folder that runs without this package.

        It takes a model's own numbers (logits of images, vectors) or speech at full scale 1. See
        `LoadedStudent.export` for the arguments.

        Raises:
            ExportError: format, folder or model do not allow it.
        """
        scale = self.space if isinstance(self.space, SpeechSpace) else None
        return export_teacher(self.module, folder, format, scale=scale, overwrite=overwrite)

    def _coded(self, values: Samples, seed: int | None, features: Features | None) -> _Coded:
        if isinstance(self.module, ConditionedTeacher):
            return self._coded_sounds(self.module, values, seed, features)
        require_no_conditioning(features, None)
        x = self._as_model(values, seed)
        module = self.module
        z = in_parts(lambda part: module.encode(part).z, module, x)
        log_prob = in_parts(module.log_prob, module, x)
        return _Coded(z, self.space.log_prob_of_values(log_prob, x))

    def _as_model(self, values: Samples, seed: int | None) -> Tensor:
        """Values (n, *event_shape) as the model's own numbers, on the CPU."""
        if not isinstance(values, Tensor):
            raise ValueError(
                f"values: {type(values).__name__} is no tensor; give what sample returns"
            )
        require_shape("values", values, self.event_shape)
        values = like_weights(self.module, values).cpu()
        space = self.space
        x = space.to_model(values if seed is None else space.make_continuous(values, seed))
        if not bool(x.isfinite().all()):
            raise ValueError("values: some are not finite or not in the data's range; give those")
        return x

    @torch.no_grad()
    def _coded_sounds(
        self,
        module: ConditionedTeacher,
        values: Samples,
        seed: int | None,
        features: Features | None,
    ) -> _Coded:
        space = self._speech
        sounds = [values] if isinstance(values, Sound) else values
        if not isinstance(sounds, list) or not all(isinstance(one, Sound) for one in sounds):
            raise ValueError("values: give a list of sounds, as sample does")
        if features is None:
            given = [features_of_sound(space, one) for one in sounds]
        else:
            given = features_for(space, len(sounds), features, None, None)
        codes, log_probs = [], []
        for index, (sound, conditioning) in enumerate(zip(sounds, given, strict=True)):
            count = len(conditioning) * space.hop
            if sound.rate != space.rate or len(sound.samples) < count:
                raise ValueError(
                    f"values: {len(sound.samples)} samples at {sound.rate} Hz do not fit "
                    f"{len(conditioning)} frames at {space.rate} Hz"
                )
            samples = sound.samples[:count]
            if seed is not None:
                samples = space.make_continuous(samples, seed + index)
            x = like_weights(module, space.to_model(samples))[None]
            bound = module.given(self._conditioning(conditioning))
            codes.append(bound.encode(x).z[0].cpu())
            log_probs.append(space.log_prob_of_values(bound.log_prob(x), x).cpu())
        return _Coded(codes, torch.cat(log_probs))

    def _conditioning(self, features: Tensor) -> Tensor:
        return like_weights(self.module, self._speech.standardise(features))[None]

    @property
    def _speech(self) -> SpeechSpace:
        assert isinstance(self.space, SpeechSpace)
        return self.space

    def __repr__(self) -> str:
        facts = {
            "kind": type(self.module).__name__,
            "task": self.space.task,
            "key": self.key,
            "event_shape": self.event_shape,
            "parameters": parameter_count(self.module),
            "prior": self.prior,
        }
        return f"LoadedTeacher({', '.join(f'{name}={value!r}' for name, value in facts.items())})"

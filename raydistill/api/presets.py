"""Three sizes of every task: `smoke` (seconds), `small` (minutes on a laptop), `paper`.

Example:
    >>> import raydistill as rd
    >>> rd.presets.image("smoke").student
    ResNetConfig(kind='resnet', channels=16, blocks=2, patch=2)
    >>> rd.presets.gaussian("paper").dimension
    16
"""

from __future__ import annotations

from typing import get_args

from raydistill.config.errors import ConfigError
from raydistill.tasks.gaussian.config import GaussianTrial
from raydistill.tasks.image.config import ImageTrial
from raydistill.tasks.paper import Deviation
from raydistill.tasks.paper import deviations as deviations_of
from raydistill.tasks.presets import Preset, gaussian_preset, image_preset, vocoder_preset
from raydistill.tasks.trial_config import TrialConfig
from raydistill.tasks.vocoder.config import VocoderTrial


def image(preset: Preset, dataset: str | None = None) -> ImageTrial:
    """The image task's trial; see `raydistill.tasks.presets.image_preset`.

    Example:
        >>> image("smoke").data.name
        'digits'
    """
    return image_preset(_known(preset), dataset)


def gaussian(preset: Preset) -> GaussianTrial:
    """The Gaussian study's trial; see `raydistill.tasks.presets.gaussian_preset`.

    Example:
        >>> gaussian("smoke").dimension
        4
    """
    return gaussian_preset(_known(preset), None)


def vocoder(preset: Preset, dataset: str | None = None) -> VocoderTrial:
    """The vocoder task's trial; see `raydistill.tasks.presets.vocoder_preset`.

    Example:
        >>> vocoder("smoke", "recordings/").data.root
        'recordings/'
    """
    return vocoder_preset(_known(preset), dataset)


def deviations(trial: TrialConfig) -> tuple[Deviation, ...]:
    """Where a trial differs from the paper; see `raydistill.tasks.paper.deviations`.

    Example:
        >>> deviations(image("paper", "digits"))[0].field
        'data.name'
    """
    return deviations_of(trial)


def _known(preset: Preset) -> Preset:
    """The preset.

    Raises:
        ConfigError: there is none of that name.
    """
    if preset not in get_args(Preset):
        raise ConfigError(f"preset: {preset!r} is none; choose {', '.join(get_args(Preset))}")
    return preset

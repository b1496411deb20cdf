"""Trials that the commands are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest

import raydistill as rd
from tests.api.conftest import gaussians, images, noisy_values, storage
from tests.voices import small_trial, write_voices

__all__ = ["gaussians", "images", "noisy_values", "speech", "storage"]


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory, storage: Path) -> rd.Distilled:
    """A finished vocoder trial on a folder of made-up voices."""
    voices = write_voices(tmp_path_factory.mktemp("commands") / "voices")
    config = rd.parse_trial(small_trial(voices))
    return rd.distill(config, storage=storage, name="front/spoken")

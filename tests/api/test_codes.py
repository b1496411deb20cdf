"""Codes to sample from are a function of the seed alone."""

from __future__ import annotations

import math

import pytest
import torch

from raydistill.api.codes import draw_codes, prior_of, scale_or_error
from raydistill.api.locate import store_beside
from raydistill.conditionals.priors import NORMAL, UNIFORM
from raydistill.store.storage import Storage


@pytest.mark.parametrize("prior", [NORMAL, UNIFORM], ids=repr)
def test_more_codes_begin_with_the_same_ones(prior: object) -> None:
    assert prior_of(prior is NORMAL) is prior
    few, many = (draw_codes(prior_of(prior is NORMAL), n, (3, 4), 7) for n in (5, 10))
    assert torch.equal(few, many[:5])
    assert not torch.equal(many[:5], many[5:])
    assert not torch.equal(few, draw_codes(prior_of(prior is NORMAL), 5, (3, 4), 8))


def test_codes_have_the_prior_s_moments() -> None:
    normal = draw_codes(NORMAL, 4000, (4,), 0)
    assert float(normal.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(normal.std()) == pytest.approx(1.0, abs=0.02)
    uniform = draw_codes(UNIFORM, 4000, (4,), 0)
    assert 0.0 <= float(uniform.min()) < 0.01
    assert 0.99 < float(uniform.max()) <= 1.0


def test_a_scale_is_a_standard_deviation() -> None:
    assert [scale_or_error(scale, NORMAL) for scale in (None, 0.0, 2.5)] == [1.0, 0.0, 2.5]
    assert scale_or_error(None, UNIFORM) == scale_or_error(1.0, UNIFORM) == 1.0
    for scale in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match="no standard deviation"):
            scale_or_error(scale, NORMAL)
    with pytest.raises(ValueError, match=r"^scale: 2 has no meaning for codes that are U\(0, 1\)"):
        scale_or_error(2.0, UNIFORM)


def test_a_store_is_found_above_its_trials(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("storage")
    alone, swept = root / "trial", root / "sweep" / "trial_00000"
    for folder in (alone, swept):
        folder.mkdir(parents=True)
        assert store_beside(Storage.open(folder)) is None
    (root / "store").mkdir()
    for folder in (alone, swept):
        found = store_beside(Storage.open(folder))
        assert found is not None
        assert found.storage.uri == str(root / "store")

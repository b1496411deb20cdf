"""The example of docs/own_models.md: a causal transformer, held to the contract and distilled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from examples.causal_transformer import KIND, CausalTransformerConfig
from raydistill.store.assets import Store
from raydistill.tasks.registry import parse_trial
from tests.helpers import jacobian, lines_of, merge, normal, randomise
from tests.trials.runs import RESNET, run

SMALL = {"kind": KIND, "width": 16, "heads": 2, "layers": 2}


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 3, 3)])
@pytest.mark.parametrize("conditional", [{"kind": "gaussian"}, {"kind": "logistic_mixture"}])
def test_it_keeps_the_contract(shape: tuple[int, int, int], conditional: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = CausalTransformerConfig.model_validate(SMALL | {"conditional": conditional})
    teacher = randomise(config.build(shape, centre=0.7, spread=1.3)).eval()
    z = normal(2, *shape, seed=1)
    x = teacher.decode(z)
    torch.testing.assert_close(teacher.encode(x).z, z, rtol=0.0, atol=1e-9)
    by_jacobi = teacher.decode(z, "jacobi", tolerance=1e-12)
    torch.testing.assert_close(by_jacobi, x, rtol=0.0, atol=1e-9)
    slopes = jacobian(lambda one: teacher.encode(one).z, x[0])
    order = teacher.decoding_order()
    ordered = slopes[order][:, order]
    assert torch.equal(ordered.triu(1), torch.zeros_like(ordered))
    expected = torch.linalg.slogdet(slopes).logabsdet
    torch.testing.assert_close(teacher.encode(x).log_det[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "objective", [{"kind": "x_reconstruction", "noise_level": 0.3}, {"kind": "oracle"}], ids=str
)
def test_a_student_is_distilled_from_it(
    objective: dict[str, Any], smoke_values: dict[str, Any], store: Store, tmp_path: Path
) -> None:
    teacher = {"model": SMALL, "budget": {"updates": 60}, "optimiser": {"learning_rate": 3e-3}}
    small = {"data": {"size": 4}}  # its naive decoding takes a pass through the network a pixel
    changes = {"teacher": teacher, "objective": objective, "student": RESNET} | small
    values = merge(smoke_values, changes)
    record = run(values, tmp_path / "trial", store)
    assert (record.status, record.cause) == ("finished", "")
    assert record.config["teacher"]["model"]["kind"] == KIND
    bits = record.reference["bits_per_dimension"]
    assert bits["teacher"] < 3.5  # 3.65 after a single update


def test_its_refusals_are_one_line() -> None:
    (line,) = lines_of({"teacher": {"model": SMALL | {"heads": 3}}})
    assert line.startswith("teacher.model.heads: 3 does not divide the width 16")
    (line,) = lines_of({"teacher": {"model": SMALL | {"depth": 3}}})
    assert "teacher.model.depth: no such field" in line


def test_it_is_named_on_the_command_line_alone() -> None:
    config = parse_trial({"teacher": {"model": {"kind": KIND}}})
    assert config.teacher_model == CausalTransformerConfig()

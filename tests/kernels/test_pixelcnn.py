"""The fused decoder: equal to the sequential one and to the cached one in torch."""

from __future__ import annotations

import builtins
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numba import njit
from torch import Tensor

from raydistill.conditionals import GaussianConditional, inversion
from raydistill.conditionals.priors import NORMAL
from raydistill.data import logit
from raydistill.kernels.pixelcnn import decode, scalars
from raydistill.kernels.pixelcnn.memory import Size
from raydistill.kernels.pixelcnn.plan import make_plan
from raydistill.kernels.pixelcnn.table import FIELDS, GATE, WINDOWS_FROM, Step
from raydistill.kernels.pixelcnn.vector import elus, gate
from raydistill.kernels.vectors import VECTOR_BYTES
from raydistill.networks.pixelcnn import compiled_decoding, image_map
from raydistill.networks.pixelcnn.cache import run_incrementally
from raydistill.networks.pixelcnn.compiled_decoding import decode_compiled, run_compiled, scalar_map
from raydistill.teachers.pixelcnn import PixelCNNConfig, PixelCNNTeacher
from tests.helpers import normal, tiny_teacher

# Shape, channels, blocks, stages: whole vectors and parts of one, one and several panels.
SIZES = [
    ((1, 8, 8), 4, 1, 1),
    ((1, 8, 8), 17, 2, 2),
    ((1, 8, 8), 5, 1, 3),
    ((1, 8, 8), 3, 1, 4),
    ((3, 4, 4), 8, 1, 3),  # the coarsest image is a single pixel, as it is above
    ((2, 4, 4), 20, 3, 2),
    ((2, 6, 6), 33, 1, 1),
]
every_size = pytest.mark.parametrize(
    ("shape", "channels", "blocks", "stages"), SIZES, ids=lambda value: str(value).replace(" ", "")
)


class OwnConditional(GaussianConditional):
    """A conditional that the kernel does not know: it may not be taken for its base class."""

    def from_noise(self, z: Tensor, params: Tensor) -> Tensor:
        mean, log_scale = params.unbind(-1)
        return mean + torch.exp(log_scale.tanh()) * (z + 0.1 * z.sin())


def without_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_map, "load_compiled", lambda: None)


@every_size
def test_fused_torch_and_sequential_agree(
    shape: tuple[int, int, int],
    channels: int,
    blocks: int,
    stages: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    teacher = tiny_teacher(shape, channels=channels, blocks=blocks, stages=stages)
    z = normal(17, *shape)
    # Tiles have 8 rows, or 4, and end in smaller ones.
    found = {batch: teacher.decode(z[:batch]) for batch in (1, 3, 17)}
    without_fused(monkeypatch)
    in_torch = teacher.decode(z)
    sequential = teacher.decode(z[:3], "sequential")
    torch.testing.assert_close(found[3], sequential, rtol=0.0, atol=1e-10)
    for batch, x in found.items():
        torch.testing.assert_close(x, in_torch[:batch], rtol=0.0, atol=1e-10)


@every_size
def test_single_precision_is_as_exact_as_torch(
    shape: tuple[int, int, int], channels: int, blocks: int, stages: int
) -> None:
    teacher = tiny_teacher(shape, channels=channels, blocks=blocks, stages=stages)
    z = normal(9, *shape)
    exact = teacher.decode(z)
    x = teacher.float().decode(z.float())
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.double(), exact, rtol=1e-4, atol=1e-4)
    codes = teacher.encode(x).z.detach()
    torch.testing.assert_close(codes, z.float(), rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 4)])
def test_conditional_that_the_kernel_does_not_know(shape: tuple[int, int, int]) -> None:
    teacher = tiny_teacher(shape)
    teacher.conditional = teacher.map.conditional = OwnConditional()
    assert scalar_map(teacher.conditional, "from_noise") is None
    z = normal(3, *shape)
    expected = teacher.decode(z, "sequential")
    torch.testing.assert_close(teacher.decode(z), expected, rtol=0.0, atol=1e-10)


FUSED: dict[str, dict[str, Any]] = {
    "logistic mixture": {"kind": "logistic_mixture", "components": 3},
    "uniform z": {"kind": "logistic_mixture", "components": 4, "prior": "uniform"},
    "one logistic": {"kind": "logistic_mixture", "components": 1, "min_log_scale": -1.0},
    "sigmoidal flow": {"kind": "sigmoidal_flow", "units": 3},
    "categorical": {"kind": "categorical", "levels": 17},
    "categorical, uniform z": {"kind": "categorical", "levels": 6, "prior": "uniform"},
}


CASES = [
    (name, shape)
    for name, conditional in FUSED.items()
    for shape in ((1, 8, 8), (3, 4, 4))
    if shape[0] == 1 or conditional["kind"] != "categorical"  # which models grey images alone
]


@pytest.mark.parametrize(("name", "shape"), CASES, ids=str)
def test_every_conditional_decodes_in_the_kernel(name: str, shape: tuple[int, int, int]) -> None:
    config = {"kind": "pixelcnn", "channels": 6, "blocks": 1, "stages": 2}
    model = PixelCNNConfig.model_validate(config | {"conditional": FUSED[name]})
    with torch.random.fork_rng():
        torch.manual_seed(4)
        teacher = model.build(shape, centre=-1.0, spread=2.0).double()
        for parameter in teacher.parameters():
            parameter.data += 0.15 * torch.randn_like(parameter)
    assert scalar_map(teacher.conditional, "from_noise") is not None
    assert scalar_map(teacher.conditional, "to_noise") is None
    # The prior's tails too, where an inverse is hardest.
    z = teacher.sample_prior(40, torch.Generator().manual_seed(1)).double()
    if teacher.conditional.prior is NORMAL:
        z[0, 0, 0, :3] = torch.tensor([-5.0, 5.0, 0.0])
    x = teacher.decode(z)
    torch.testing.assert_close(x, teacher.decode(z, "sequential"), rtol=0.0, atol=1e-7)
    torch.testing.assert_close(teacher.encode(x).z, z, rtol=0.0, atol=1e-6)
    single = teacher.float()
    codes = single.encode(single.decode(z[1:].float())).z.detach()
    assert float((codes - z[1:]).abs().median()) < 1e-5


def test_bounded_log_scale_is_bounded_in_the_kernel() -> None:
    teacher = tiny_teacher()
    with torch.no_grad():
        teacher.map.network.output.bias[1] = -50.0  # type: ignore[index]
    z = normal(3, 1, 8, 8)
    expected = teacher.decode(z, "sequential")
    torch.testing.assert_close(teacher.decode(z), expected, rtol=0.0, atol=1e-10)


def test_not_a_number_spreads_to_what_comes_after_it() -> None:
    teacher = tiny_teacher(blocks=2)
    z = normal(3, 1, 8, 8)
    whole = teacher.decode(z)
    z[1, 0, 3, 3] = float("nan")
    found, expected = teacher.decode(z), teacher.decode(z, "sequential")
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-10, equal_nan=True)
    assert bool(found[1].flatten()[28:].isnan().all())
    torch.testing.assert_close(found[[0, 2]], whole[[0, 2]], rtol=0.0, atol=1e-10)


def test_chunks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = tiny_teacher((3, 4, 4))
    z = normal(21, 3, 4, 4)
    whole = teacher.decode(z)
    monkeypatch.setattr(decode, "CHUNK", 4)
    torch.testing.assert_close(teacher.decode(z), whole, rtol=0.0, atol=1e-12)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        torch.testing.assert_close(teacher.decode(z), whole, rtol=0.0, atol=1e-12)
    finally:
        torch.set_num_threads(threads)
    assert teacher.decode(z[:0]).shape == (0, 3, 4, 4)


def test_half_precision_and_mixed_precision_take_the_other_path() -> None:
    teacher = tiny_teacher()
    network = teacher.map.network
    assert compiled_decoding.can_decode(network, normal(1, 1, 8, 8))
    assert not compiled_decoding.can_decode(network, normal(1, 1, 8, 8).float())
    assert not compiled_decoding.can_decode(
        network.to(torch.bfloat16), normal(1, 1, 8, 8).to(torch.bfloat16)
    )


def test_without_numba_torch_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = tiny_teacher()
    z = normal(2, 1, 8, 8)
    expected = teacher.decode(z)
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("numba"):
            raise ImportError(name)
        return real(name, *rest)

    loops = ("raydistill.kernels.pixelcnn", "raydistill.networks.pixelcnn.compiled_decoding")
    for name in [name for name in sys.modules if name.startswith(loops)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    image_map.load_compiled.cache_clear()
    try:
        assert image_map.load_compiled() is None
        torch.testing.assert_close(teacher.decode(z), expected, rtol=0.0, atol=1e-10)
    finally:
        image_map.load_compiled.cache_clear()


def test_constants_are_those_of_the_conditionals_in_torch() -> None:
    assert scalars.MOST_STEPS == inversion.MOST_STEPS
    assert scalars.SQUEEZE == logit.SQUEEZE


def test_reading_configurations_does_not_import_numba() -> None:
    code = "import sys, raydistill.tasks.models; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_emit_sees_the_same_outputs_as_in_torch() -> None:
    """Also where there are more outputs than a Gaussian's, in more than one panel."""
    teacher = tiny_teacher((2, 6, 6), channels=6)
    network = teacher.map.network
    with torch.no_grad():
        network.output = torch.nn.Conv2d(12, 37, 1).double()
    seen: dict[str, list[Tensor]] = {}
    for name, run in (("torch", run_incrementally), ("fused", run_compiled)):
        outputs = seen.setdefault(name, [])

        def emit(row: int, column: int, output: Tensor, outputs: list[Tensor] = outputs) -> Tensor:
            outputs.append(output.detach().clone())
            return output[:, :2].sin().detach()

        with torch.no_grad():
            run(network, 5, 2, 6, emit)
    torch.testing.assert_close(seen["fused"], seen["torch"], rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("itemsize", [4, 8])
def test_no_step_leaves_the_arena(itemsize: int) -> None:
    """Offsets at the last column and row, of reads and of writes."""
    size = Size(3, 9, 20, 2, 3, 12, 5, itemsize)
    plan = make_plan(size)
    table = plan.table.reshape(-1, FIELDS)
    for phase, programs in enumerate(plan.programs):
        for level, (first, stop) in enumerate(programs):
            stride = 1 << max(level - 1, 0)
            column = 0 if level == 0 else (size.side - 1) // stride * stride
            row = (size.side - 1 - phase) // 8 * 8 + phase
            for step in table[first:stop]:
                f = Step._make(step[:WINDOWS_FROM])
                last = f.groups - 1
                left = (column >> f.left_shift) * f.left_column + last * f.left_group
                left += row * f.image_row + (f.rows - 1) * f.left_row + f.depth
                for window in step[WINDOWS_FROM : WINDOWS_FROM + f.windows]:
                    assert plan.weights <= window
                    assert window + left <= plan.length
                moved = column >> f.shift
                end = f.out + moved * f.out_column + last * f.out_group + (f.rows - 1) * f.out_row
                vectors = 1 if f.kind == GATE else f.vectors
                assert end + f.panels * vectors * size.lanes <= plan.length
                end = f.elus + moved * f.elus_column + last * f.elus_group
                assert end + (f.rows - 1) * f.elus_row + 2 * f.half <= plan.length


@njit  # type: ignore[untyped-decorator]
def _activate(memory: Any, count: int, lanes: int) -> None:
    for at in range(0, count, lanes):
        elus(memory, at, count + at, 2 * count + at)


@njit  # type: ignore[untyped-decorator]
def _gate(memory: Any, count: int, lanes: int) -> None:
    for at in range(0, count, lanes):
        gate(memory, 2 * at, 2 * count + at, 3 * count + at, 4 * count + at)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_exact_to_rounding(dtype: Any) -> None:
    lanes, count = VECTOR_BYTES // np.dtype(dtype).itemsize, 1 << 12
    rounding = np.finfo(dtype).eps
    x = np.concatenate([np.linspace(-120.0, 120.0, count - 8), [0, 1e-30, -1e-30, -1e3, 1e3]])
    x = np.concatenate([x, [np.inf, -np.inf, np.nan]]).astype(dtype)
    memory = np.concatenate([x, np.zeros(2 * count, dtype)])
    _activate(memory, count, lanes)
    exact = [np.where(y > 0, y, np.expm1(np.minimum(y, 0))) for y in (x.astype(np.float64), -x)]
    np.testing.assert_allclose(memory[count:], np.concatenate(exact), rtol=0, atol=rounding)

    random = np.random.default_rng(0)
    b = x[:-3]
    b = np.concatenate([b, np.zeros(3, dtype)])
    a, held = random.normal(size=(2, count)).astype(dtype)
    pairs = np.stack([a.reshape(-1, lanes), b.reshape(-1, lanes)], axis=1).reshape(-1)
    memory = np.concatenate([pairs, held, np.zeros(2 * count, dtype)])
    _gate(memory, count, lanes)
    with np.errstate(over="ignore"):
        exact_x = held + a / (1.0 + np.exp(-b.astype(np.float64)))
    np.testing.assert_allclose(memory[2 * count : 3 * count], exact_x, rtol=0, atol=8 * rounding)


def test_decoding_with_trained_like_scales_inverts_encoding() -> None:
    teacher = tiny_teacher((3, 8, 8), channels=12, blocks=2, stages=3).float()
    z = teacher.sample_prior(33, torch.Generator().manual_seed(3))
    x = decode_compiled(teacher.map.network, z, scalar_map(teacher.conditional, "from_noise"))  # type: ignore[arg-type]
    back = teacher.encode(teacher.standardise.restore(x)).z.detach()
    assert float((back - z).abs().max()) < 1e-3
    assert not math.isnan(float(back.sum()))


def test_result_may_be_written_to_and_its_source_kept(teacher: PixelCNNTeacher) -> None:
    z = normal(2, 1, 8, 8)
    given = z.clone()
    first = teacher.decode(z)
    first.zero_()
    assert torch.equal(z, given)
    assert float(teacher.decode(z).abs().sum()) > 0.0

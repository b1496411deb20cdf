"""How far the codes of held-out data are from the prior: what noise on them is to heal."""

from __future__ import annotations

from torch import Tensor


def code_diagnostics(z: Tensor) -> dict[str, float]:
    """Moments, norm and correlation of codes that would be N(0, I) under a perfect teacher.

    Args:
        z: (N, C, H, W) in double precision; of another prior, its normal scores.

    Returns:
        `mean`, `std`, `kurtosis` over all numbers (0, 1, 3); `norm_ratio`, the mean norm over
        sqrt(dimension) (close to 1); `autocorrelation_row` and `_column`, the correlation of
        neighbours along a row and down a column (0).
    """
    centred = z - z.mean()
    scale = z.std()
    flat = z.flatten(1)
    return {
        "mean": float(z.mean()),
        "std": float(scale),
        "kurtosis": float((centred / scale).pow(4).mean()),
        "norm_ratio": float((flat.norm(dim=1) / flat.shape[1] ** 0.5).mean()),
        "autocorrelation_row": _correlation(z[..., :, :-1], z[..., :, 1:]),
        "autocorrelation_column": _correlation(z[..., :-1, :], z[..., 1:, :]),
    }


def _correlation(a: Tensor, b: Tensor) -> float:
    """Of neighbours, each pixel's own mean over the examples taken off."""
    a, b = a - a.mean(0), b - b.mean(0)
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt())

"""How far the codes z = T(x) of held-out images are from the prior N(0, I).

Students are trained on such codes and sampled from the prior; noise on the codes (section 4.1.3)
is meant to make up for the difference.
"""

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
    """Correlation of neighbouring pixels, after each pixel's mean over the examples is removed."""
    a, b = a - a.mean(0), b - b.mean(0)
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt())

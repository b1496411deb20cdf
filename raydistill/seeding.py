"""Counter-based randomness: every draw is a function of what it is for.

A step's generator is made from the seed and the step, so that a resumed run needs no saved random
state, and two workers that share a batch draw the same global batch as one.
"""

from __future__ import annotations

import hashlib

import torch


def key_to_seed(*key: str | int) -> int:
    """A 32-bit seed that is a hash of the key."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def generator(device: torch.device | str, *key: str | int) -> torch.Generator:
    """A generator on a device, seeded by a hash of the key (for example "batch", seed, step).

    Mersenne Twister takes 32 bits of its seed; a hash spreads neighbouring steps over them.
    """
    return torch.Generator(device=device).manual_seed(key_to_seed(*key))

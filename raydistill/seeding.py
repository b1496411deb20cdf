"""Counter-based randomness: every random draw is a function of a key that says what it is for.

For example the batch of an update is drawn from a generator that is seeded by the trial's seed and
the number of the update. A resumed run then needs no saved random state, and two workers that share
a batch draw the same global batch as one.
"""

from __future__ import annotations

import hashlib

import torch


def key_to_seed(*key: str | int) -> int:
    """A 32-bit seed, as a hash of the key.

    Example:
        >>> from raydistill.seeding import key_to_seed
        >>> key_to_seed("batch", 0, 1) == key_to_seed("batch", 0, 1)
        True
        >>> key_to_seed("batch", 0, 1) == key_to_seed("batch", 0, 2)
        False
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def generator(device: torch.device | str, *key: str | int) -> torch.Generator:
    """A generator on a device, seeded by a hash of the key.

    Hashing spreads similar keys over all 32 bits that the Mersenne Twister takes of its seed.

    Args:
        device: of the generator.
        key: what is drawn, for example ("batch", seed, update).

    Example:
        >>> import torch
        >>> from raydistill.seeding import generator
        >>> first, again = generator("cpu", "batch", 0, 7), generator("cpu", "batch", 0, 7)
        >>> torch.equal(torch.randn(3, generator=first), torch.randn(3, generator=again))
        True
    """
    return torch.Generator(device=device).manual_seed(key_to_seed(*key))

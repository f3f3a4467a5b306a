"""Pairing protocols: which picture is evaluated with which hole, as published tables do it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from inpaintlab.data import seeds
from inpaintlab.errors import UserError, check_choice

PROTOCOLS = {
    "every_bin": "each picture with one hole of each bin, such as six masks for each picture",
    "one_per_picture": "each picture with one hole, of a bin drawn by the seed",
    "random_N": "N pictures drawn by the seed (CSA: random_500), each with one hole of each bin",
    "fixed_lists": "each picture with one hole of each bin, taken in turn from one list of holes per bin",
    "same_name": "each picture with the mask file of the same name",
}


def numbers(protocol: str, pictures: int, bins: int, seed: int) -> Sequence[int]:
    """Return the pairs of a protocol in order, each as picture x bins + bin.

    Args:
        protocol: a key of `PROTOCOLS`, with a number in place of N.
        pictures, bins: their numbers.
        seed: of the protocols that draw.

    Raises:
        UserError: if the protocol is unknown, or there are too few pictures for it.
    """
    drawn = re.fullmatch(r"random_(\d+)", protocol)
    if drawn is None:
        check_choice("data.pairing", protocol, PROTOCOLS)
    if protocol in ("every_bin", "fixed_lists"):
        return range(pictures * bins)
    if protocol == "same_name":
        return range(0, pictures * bins, bins)
    if protocol == "one_per_picture":
        chosen = seeds.generator("one per picture", seed).integers(bins, size=pictures)
        return [int(n) for n in np.arange(pictures) * bins + chosen]
    if drawn is None:
        raise UserError("data.pairing=random_N needs a number in place of N, such as random_500")
    count = int(drawn[1])
    if not 0 < count <= pictures:
        raise UserError(f"data.pairing={protocol}: there are {pictures} pictures, not {count}")
    order = seeds.generator("random pictures", seed).permutation(pictures)[:count]
    return [int(picture) * bins + bin for picture in sorted(order) for bin in range(bins)]

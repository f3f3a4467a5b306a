"""Options of coherent semantic attention and the record of one call, which both implementations use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inpaintlab.errors import check_choice

SIMILARITY_OF = {"paper": "cosine", "authors": "inner_product"}  # by whose code is followed
GRADIENT_OF = {"paper": "exact", "authors": "truncated"}  # likewise
DAD_REFERENCES = ("original", "initialised")
EPSILON = 1e-8  # added to norms, as in the released code


@dataclass(frozen=True)
class Rules:
    """Choices where the paper's text, its Algorithm 1 and the released code differ.

    Args:
        similarity: "cosine": Dmax and Dad are cosines clamped to at least 0, so that weights stay in [0, 1].
            "inner_product": Dmax and Dad are inner products with one side normalised, not clamped. Features can be
            negative, so weights can leave [0, 1] and outputs the range of the features.
        dad_reference: what Dad_i compares with the previously generated patch: the "original" feature of the hole, as
            in the released code, or its best match, with which it is "initialised" in Algorithm 1.

    Raises:
        ValueError: if a field has an unknown value.
    """

    similarity: str = "cosine"
    dad_reference: str = "original"

    def __post_init__(self) -> None:
        check_choice("similarity", self.similarity, SIMILARITY_OF.values())
        check_choice("dad_reference", self.dad_reference, DAD_REFERENCES)

    @property
    def cosine(self) -> bool:
        return self.similarity == "cosine"


@dataclass(frozen=True)
class Trace:
    """Record of one call of the layer at its n missing positions; samples with fewer have fewer valid entries.

    Args:
        holes: (N, n), raster indices of the missing positions, in the order of generation.
        valid: (N, n), False for entries that fill up a shorter list.
        match: (N, n), raster indices of the most similar known positions.
        dmax, dad: (N, n), similarities with the match and with the previously generated patch.
        weight: (N, n), w_i = Dad_i / (Dad_i + Dmax_i), the share of the previously generated patch; 0 at the first.
        size: height and width of the features.
    """

    holes: Tensor
    valid: Tensor
    match: Tensor
    dmax: Tensor
    dad: Tensor
    weight: Tensor
    size: tuple[int, int]

    def attention(self) -> Tensor:
        """Return (N, n, H W), the share of each source position in each generated patch; valid rows sum to 1.

        By A_i = w_i A_(i-1) + (1 - w_i) onehot(match_i), the share of match j in patch i is (1 - w_j) times the
        product of the weights after j up to i. Invalid rows are 0.
        """
        n = self.holes.shape[1]
        later = torch.ones(n, n, dtype=torch.bool, device=self.holes.device).triu(1)  # [j, i]: i after j
        kept = torch.where(later, self.weight.unsqueeze(1), 1.0).cumprod(2)
        shares = ((1 - self.weight).unsqueeze(2) * kept).triu().transpose(1, 2) * self.valid.unsqueeze(2)
        rows = shares.new_zeros(len(shares), n, self.size[0] * self.size[1])
        return rows.scatter_add_(2, self.match.unsqueeze(1).expand_as(shares), shares)

    def heat(self, points: Sequence[tuple[float, float]]) -> Tensor:
        """Return the attention (N, K, H, W) of the missing positions nearest to K points (y, x) in [0, 1]."""
        height, width = self.size
        wanted = self.dmax.new_tensor(points).view(1, -1, 1, 2)
        at = torch.stack([self.holes // width / height, self.holes % width / width], 2).to(wanted)
        middle = wanted.new_tensor([0.5 / height, 0.5 / width])
        distance = (at.unsqueeze(1) + middle - wanted).square().sum(3)  # (N, K, n)
        nearest = distance.masked_fill(~self.valid.unsqueeze(1), torch.inf).argmin(2)
        rows = self.attention().gather(1, nearest.unsqueeze(2).expand(-1, -1, height * width))
        return rows.view(len(rows), len(points), height, width)

    def offsets(self) -> Tensor:
        """Return (N, 2, H, W), rows and columns from each missing position to its match; 0 at known positions."""
        width = self.size[1]
        steps = (self.match // width - self.holes // width, self.match % width - self.holes % width)
        return torch.cat([self.on_map(step.to(self.dmax)) for step in steps], 1)

    def on_map(self, values: Tensor) -> Tensor:
        """Return (N, 1, H, W) with `values` (N, n) at the missing positions and 0 elsewhere."""
        flat = values.new_zeros(len(values), self.size[0] * self.size[1])
        return flat.scatter_add_(1, self.holes, values * self.valid).view(len(values), 1, *self.size)


@dataclass(frozen=True)
class Kept:
    """Attention of a forward pass, kept for display.

    Args:
        offsets: (N, 2, H, W), rows and columns from each missing position to its match; 0 elsewhere.
        heat: (N, K, H, W), the attention of the missing positions nearest to the K chosen points (Fig. 4; two
            neighbouring points for Fig. 6 f, g). Zeros for samples without a hole.
        points: the points, (y, x) in [0, 1] relative to the picture.
        trace: the record of the call.
    """

    offsets: Tensor
    heat: Tensor
    points: tuple[tuple[float, float], ...]
    trace: Trace

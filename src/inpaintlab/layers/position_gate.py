"""Spatial attention with one score per position (Charef & Ouqour 2024, Eq. 1): alpha_i = exp f(h_i) / sum_j exp f(h_j).

The paper does not state how alpha is used; the uses below are inferred. With "scale", "residual" and "pool" the layer
is the identity before training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inpaintlab.errors import check_choice

USES = ("scale", "residual", "pool", "literal")
SCORES = ("linear", "two_layers")
DOMAINS = ("all", "known")


class PositionGate(nn.Module):
    """Weigh features h with alpha; called as `gate(features, hole)`.

    Args:
        channels: C; at least 8 for two layers.
        use: how alpha is applied; N is the number of positions:
            "scale", N alpha h, whose weights have the mean 1 (without N the features would shrink by a factor N);
            "residual", h + g N alpha h with a learned g that starts at 0;
            "pool", h + W sum_j alpha_j h_j with a 1x1 layer W: the same context vector for all positions;
            "literal", alpha h.
        score: f, a 1x1 layer ("linear"), or 1x1 to C / 8, ReLU, 1x1 ("two_layers"). The last layer starts at 0. It has
            no bias, because the softmax would cancel it.
        domain: the softmax runs over "all" positions or over the "known" ones. With "known", features in the hole are
            not changed and do not enter the context vector.
    """

    def __init__(self, channels: int, *, use: str = "scale", score: str = "linear", domain: str = "all") -> None:
        super().__init__()
        for option, value, known in (("use", use, USES), ("score", score, SCORES), ("domain", domain, DOMAINS)):
            check_choice(option, value, known)
        self.use, self.domain = use, domain
        inner = channels // 8 if score == "two_layers" else channels
        last = nn.Conv2d(inner, 1, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.score = nn.Sequential(nn.Conv2d(channels, inner, 1), nn.ReLU(), last) if inner != channels else last
        if use == "residual":
            self.strength = nn.Parameter(torch.zeros(()))
        if use == "pool":
            self.context = nn.Conv2d(channels, channels, 1, bias=False)
            nn.init.zeros_(self.context.weight)

    def alpha(self, features: Tensor, hole: Tensor) -> Tensor:
        """Return alpha (N, 1, H, W) in float32, or float64 for float64 scores; it sums to 1 over the domain.

        Args:
            features: (N, C, H, W).
            hole: (N, 1, H, W) at the features' resolution, 1 = missing. With the domain "known", alpha is 0 at missing
                positions; a sample without known positions has zeros only.
        """
        scores = self.score(features)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if self.domain == "all":
            return scores.flatten(1).softmax(1).view_as(scores)
        missing = hole > 0.5
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(missing, lowest).flatten(1).softmax(1).view_as(scores).masked_fill(missing, 0)

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        alpha = self.alpha(features, hole)
        if self.use == "pool":
            vector = (alpha * features).sum((2, 3), keepdim=True).to(features.dtype)
            return features + self.context(vector)
        if self.use == "literal":
            weight = alpha
        else:
            count = alpha[0].numel() if self.domain == "all" else (1 - hole).sum((2, 3), keepdim=True)
            weight = count * alpha
        if self.use == "residual":
            weight = 1 + self.strength * weight
        if self.domain == "known":
            weight = torch.where(hole > 0.5, 1.0, weight)
        return features * weight.to(features.dtype)

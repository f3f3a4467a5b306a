"""The contextual attention layer of DeepFill (Yu et al., CVPR 2018, section 3), also used by DeepFill v2 and others.

Each position of the foreground is rebuilt from patches of the background that look like its surroundings and do not
touch the hole. The stride of the matching patches is 1, as in all codes: the fusion is not defined for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor, nn

from inpaintlab.errors import check_choice
from inpaintlab.layers.contextual import fast, plain
from inpaintlab.layers.contextual.rules import Deviations, Setting, rules_of, usable_patches

IMPLEMENTATIONS = {"fast": fast.attend, "plain": plain.attend}


@dataclass(frozen=True)
class Kept:
    """What a forward pass leaves for display.

    Args:
        offsets: (N, 2, h, w), rows and columns from each position to the one it attends to most, the first on ties.
        heat: (N, K, hb, wb), the attention of the K chosen points.
        points: the points, (y, x) in [0, 1] of the picture.
    """

    offsets: Tensor
    heat: Tensor
    points: tuple[tuple[float, float], ...]


class ContextualAttention(nn.Module):
    """Features rebuilt from the known part of a background.

    The layer has no parameters. Scores are computed in float32 (float64 for float64 features) whatever autocast says.
    The gradient of the fast implementation cannot be differentiated again.

    Args:
        follows: whose code, "authors" (with each sample's own mask), "port" or "mmagic".
        kernel: side of a matching patch, odd.
        rate: matching takes place on maps made smaller by this factor; H and W must be multiples of it.
        scale: of the scores before the softmax.
        fuse: length of the diagonal sums over neighbours' scores, odd; 1 = no fusion.
        implementation: "fast", or "plain", the same function with whole matrices.
        deviations: single fields of `Rules` in which the layer differs from the followed code.

    Attributes:
        keep_attention: set it to have `kept` filled by each forward pass, at hardly any cost.
        points: whose attention is kept, (y, x) in [0, 1] of the picture; none by default.
        kept: of the last forward pass with `keep_attention`.
    """

    def __init__(
        self,
        *,
        follows: str = "authors",
        kernel: int = 3,
        rate: int = 2,
        scale: float = 10.0,
        fuse: int = 3,
        implementation: str = "fast",
        **deviations: Unpack[Deviations],
    ) -> None:
        super().__init__()
        check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.implementation = implementation
        self.setting = Setting(rules_of(follows, **deviations), kernel, rate, scale, fuse)
        self.keep_attention = False
        self.points: Sequence[tuple[float, float]] | None = None
        self.kept: Kept | None = None

    def forward(self, features: Tensor, hole: Tensor | None = None, background: Tensor | None = None) -> Tensor:
        """Rebuild `features`.

        Args:
            features: (N, C, H, W), the foreground.
            hole: (N or 1, 1, Hb, Wb) at the background's resolution, exactly 0 or 1, 1 = missing; None: no hole.
            background: (N, C, Hb, Wb); the features themselves by default.

        Returns:
            (N, C, H, W). Zeros where no background patch is free of missing pixels.

        Raises:
            ValueError: for sizes that do not fit each other or the rate.
        """
        background = features if background is None else background
        if hole is None:
            hole = background.new_zeros(1, 1, *background.shape[-2:])
        elif self.setting.rules.mask == "first":
            hole = hole[:1]
        self._check(features, hole, background)
        kind = torch.float64 if features.dtype == torch.float64 else torch.float32
        with torch.autocast(features.device.type, enabled=False):
            output, best, heat = IMPLEMENTATIONS[self.implementation](
                features.to(kind),
                background.to(kind),
                usable_patches(hole.to(kind), self.setting),
                self.setting,
                self._watched(features) if self.keep_attention else None,
            )
        if best is not None and heat is not None:
            self.kept = self._keep(best, heat, features, background)
        return output.to(features.dtype)

    def _check(self, features: Tensor, hole: Tensor, background: Tensor) -> None:
        """Raise for sizes that do not fit."""
        rate = self.setting.rate
        for name, map in (("features", features), ("background", background)):
            if map.shape[-2] % rate or map.shape[-1] % rate:
                raise ValueError(f"{name} of {tuple(map.shape)}: height and width must be multiples of rate={rate}")
        if background.shape[:2] != features.shape[:2]:
            raise ValueError(f"features {tuple(features.shape)} and background {tuple(background.shape)} do not match")
        if hole.shape[1:] != (1, *background.shape[-2:]) or hole.shape[0] not in (1, features.shape[0]):
            raise ValueError(
                f"hole is {tuple(hole.shape)}; for a background of {tuple(background.shape)} it must be (N or 1, 1, "
                f"{background.shape[-2]}, {background.shape[-1]}); `resize_nearest` brings it there"
            )

    def _watched(self, features: Tensor) -> list[int]:
        """Foreground positions of the chosen points."""
        height, width = self.setting.small(features.shape[-2:])
        return [min(int(y * height), height - 1) * width + min(int(x * width), width - 1) for y, x in self.points or ()]

    def _keep(self, best: Tensor, heat: Tensor, features: Tensor, background: Tensor) -> Kept:
        """Offsets and heat maps; a background position counts in the background's own rows and columns."""
        height, width = self.setting.small(features.shape[-2:])
        rows, columns = self.setting.small(background.shape[-2:])
        attended = torch.stack([best // columns, best % columns], 1).view(-1, 2, height, width)
        own = torch.meshgrid(*(torch.arange(n, device=best.device) for n in (height, width)), indexing="ij")
        return Kept(attended - torch.stack(own), heat.view(*heat.shape[:2], rows, columns), tuple(self.points or ()))

    def extra_repr(self) -> str:
        return f"{self.setting}, implementation={self.implementation}"

"""The contextual attention layer of DeepFill (Yu et al., CVPR 2018, section 3), also used by DeepFill v2 and others.

Each position of the foreground is reconstructed from background patches that resemble its surroundings and do not touch
the hole. The stride of the matching patches is 1, as in all codes, because the fusion is not defined for other strides.
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
    """Attention of a forward pass, kept for display.

    Args:
        offsets: (N, 2, h, w), rows and columns from each position to the one that it attends to most (the first if
            several are equal).
        heat: (N, K, hb, wb), the attention weights of the K chosen points.
        points: the points, (y, x) in [0, 1] relative to the picture.
    """

    offsets: Tensor
    heat: Tensor
    points: tuple[tuple[float, float], ...]


class ContextualAttention(nn.Module):
    """Reconstruct features from the known part of a background.

    The layer has no parameters. Scores are computed in float32 (float64 for float64 features) also under autocast. The
    fast implementation does not support second derivatives.

    Args:
        follows: the code whose details are used, "authors" (with a separate mask for each sample), "port" or "mmagic".
        kernel: side of a matching patch, odd.
        rate: downsampling factor for matching; H and W must be multiples of it.
        scale: factor on the scores before the softmax.
        fuse: length of the diagonal sums over the scores of neighbours, odd; 1 = no fusion.
        implementation: "fast", or "plain", which builds all patches and whole matrices.
        deviations: single fields of `Rules` in which the layer differs from the followed code.

    Attributes:
        keep_attention: set to True to store `kept` in each forward pass; the cost is small.
        points: positions whose attention weights are kept, (y, x) in [0, 1] relative to the picture; none by default.
        kept: attention of the last forward pass with `keep_attention`.

    Raises:
        ValueError: if an option has an unknown value, `kernel` or `fuse` is even, or `rate` is below 1.
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
        """Reconstruct `features`.

        Args:
            features: (N, C, H, W), the foreground.
            hole: (N or 1, 1, Hb, Wb) at the background's resolution, exactly 0 or 1, 1 = missing; None = no hole.
            background: (N, C, Hb, Wb); `features` by default.

        Returns:
            (N, C, H, W); zeros if every background patch has a missing pixel.

        Raises:
            ValueError: if the sizes do not match each other or are not multiples of the rate.
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
        """Raise ValueError unless the sizes match."""
        rate = self.setting.rate
        for name, map in (("features", features), ("background", background)):
            if map.shape[-2] % rate or map.shape[-1] % rate:
                raise ValueError(f"height and width of {name} must be multiples of rate={rate}, got {tuple(map.shape)}")
        if background.shape[:2] != features.shape[:2]:
            raise ValueError(
                f"features {tuple(features.shape)} and background {tuple(background.shape)} must have the same N and C"
            )
        if hole.shape[1:] != (1, *background.shape[-2:]) or hole.shape[0] not in (1, features.shape[0]):
            raise ValueError(
                f"for a background of {tuple(background.shape)} the hole must be (N or 1, 1, {background.shape[-2]}, "
                f"{background.shape[-1]}), got {tuple(hole.shape)}; resize it with `resize_nearest`"
            )

    def _watched(self, features: Tensor) -> list[int]:
        """Return the foreground positions of `points`."""
        height, width = self.setting.small(features.shape[-2:])
        return [min(int(y * height), height - 1) * width + min(int(x * width), width - 1) for y, x in self.points or ()]

    def _keep(self, best: Tensor, heat: Tensor, features: Tensor, background: Tensor) -> Kept:
        """Return offsets and heat maps; background positions are counted in the background's rows and columns."""
        height, width = self.setting.small(features.shape[-2:])
        rows, columns = self.setting.small(background.shape[-2:])
        attended = torch.stack([best // columns, best % columns], 1).view(-1, 2, height, width)
        own = torch.meshgrid(*(torch.arange(n, device=best.device) for n in (height, width)), indexing="ij")
        return Kept(attended - torch.stack(own), heat.view(*heat.shape[:2], rows, columns), tuple(self.points or ()))

    def extra_repr(self) -> str:
        return f"{self.setting}, implementation={self.implementation}"

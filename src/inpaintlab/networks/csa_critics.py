"""CSA's discriminators (Liu et al. 2019, Section 3.4): of pictures, and of VGG-16's features.

Their scores are unbounded. The patch discriminator judges pictures in 70 x 70 windows. The feature patch discriminator
applies its loss to a map of 512 channels directly; Fig. 5 shows strides 2, 1, 1, the released code has 2, 2, 2. The
conventional one that Fig. 11 compares it with follows SRFeat (Park et al. 2018), with instance norm in place of batch
norm, as a batch is one picture.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from inpaintlab.errors import check_choice
from inpaintlab.networks.csa_stages import initialise

FEATURES = ("patch", "conventional", None)
POOL3 = 256  # channels of VGG-16's features behind its third pooling


class PatchDiscriminator(nn.Module):
    """PatchGAN of five 4x4 convolutions with instance norm.

    Args:
        width: factor on all numbers of maps, for small trials.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        maps = [max(4, round(n * width / 4) * 4) for n in (64, 128, 256, 512)]
        layers: list[nn.Module] = [nn.Conv2d(3, maps[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for inputs, outputs, stride in zip(maps, maps[1:], (2, 2, 1), strict=False):
            conv = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1)
            layers += [conv, nn.InstanceNorm2d(outputs, affine=True), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*layers, nn.Conv2d(maps[-1], 1, 4, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """Scores (N, 1, H / 8 - 2, W / 8 - 2) of pictures (N, 3, H, W) in [0, 1]."""
        scores: Tensor = self.model(2 * image - 1)
        return scores


class FeaturePatchDiscriminator(nn.Module):
    """Three 4x4 convolutions on features.

    Args:
        inputs: channels of the features.
        strides: of the three convolutions.
    """

    def __init__(self, inputs: int = POOL3, strides: Sequence[int] = (2, 1, 1)) -> None:
        super().__init__()
        first, second, third = strides
        self.model = nn.Sequential(
            nn.Conv2d(inputs, 512, 4, stride=first, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(512, 512, 4, stride=second, padding=1),
            nn.InstanceNorm2d(512),
            nn.LeakyReLU(0.2),
            nn.Conv2d(512, 512, 4, stride=third, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Scores (N, 512, h, w), 14 x 14 for features (N, 256, 32, 32)."""
        scores: Tensor = self.model(features)
        return scores


class ConventionalFeatureDiscriminator(nn.Module):
    """Eight 3x3 convolutions and two full layers, for features of one size only, those of 256 x 256 pictures.

    Args:
        inputs: channels of the features.
        side: their height and width.
    """

    def __init__(self, inputs: int = POOL3, side: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, maps in enumerate(maps for maps in (64, 128, 256, 512) for _ in range(2)):
            layers.append(nn.Conv2d(inputs, maps, 3, stride=1 + i % 2, padding=1))
            layers += [nn.InstanceNorm2d(maps, affine=True)] if i else []
            layers.append(nn.LeakyReLU(0.2))
            inputs = maps
        flat = inputs * (side // 16) ** 2
        self.side = side
        self.model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Scores (N, 1).

        Raises:
            ValueError: for features of another size.
        """
        if features.shape[-2:] != (self.side, self.side):
            raise ValueError(
                f"the conventional feature discriminator is built for features of {self.side} x {self.side}, pictures "
                f"of {8 * self.side} x {8 * self.side}, not for {tuple(features.shape[-2:])}"
            )
        scores: Tensor = self.model(features)
        return scores


class Discriminator(nn.Module):
    """The patch discriminator, and one of features beside it.

    Args:
        feature: "patch", "conventional" or None (Fig. 11).
        strides: of the feature patch discriminator; (2, 2, 2) as released.
        width: factor on the maps of the patch discriminator, for small trials.
    """

    def __init__(
        self, *, feature: str | None = "patch", strides: Sequence[int] = (2, 1, 1), width: float = 1.0
    ) -> None:
        super().__init__()
        check_choice("feature", feature, FEATURES)
        if len(strides) != 3:
            raise ValueError(f"strides={list(strides)} must be three numbers")
        self.patch = PatchDiscriminator(width)
        self.feature: nn.Module | None = None
        if feature:
            self.feature = (
                FeaturePatchDiscriminator(strides=strides) if feature == "patch" else ConventionalFeatureDiscriminator()
            )
        initialise(self)

    def forward(self, image: Tensor, features: Tensor | None = None) -> list[Tensor]:
        """Scores of pictures in [0, 1], and of their VGG-16 features (N, 256, H / 8, W / 8) if those are judged."""
        scores = [self.patch(image)]
        if self.feature is not None:
            if features is None:
                raise ValueError("the feature discriminator needs VGG-16's features behind pool3")
            scores.append(self.feature(features))
        return scores

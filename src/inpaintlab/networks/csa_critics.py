"""The discriminators of CSA (Liu et al. 2019, Section 3.4): of pictures, and of features of VGG-16.

Scores are unbounded. The patch discriminator judges windows of 70 x 70 pixels. The feature patch discriminator has no
final layer with one channel: all 512 channels are scores. Fig. 5 shows strides 2, 1, 1; the released code has 2, 2, 2.
The conventional feature discriminator of Fig. 11 follows SRFeat (Park et al. 2018), with instance norm instead of batch
norm because a batch is one picture.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from inpaintlab.errors import check_choice
from inpaintlab.networks.csa_stages import initialise
from inpaintlab.networks.widths import scale_channels

FEATURES = ("patch", "conventional", None)
POOL3 = 256  # channels of the features of VGG-16 after its third pooling


class PatchDiscriminator(nn.Module):
    """PatchGAN of five 4x4 convolutions with instance norm.

    Args:
        width: factor on all numbers of channels, for small trials.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = scale_channels((64, 128, 256, 512), width)
        layers: list[nn.Module] = [nn.Conv2d(3, channels[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for inputs, outputs, stride in zip(channels, channels[1:], (2, 2, 1), strict=False):
            conv = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1)
            layers += [conv, nn.InstanceNorm2d(outputs, affine=True), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """Return scores (N, 1, H / 8 - 2, W / 8 - 2) of pictures (N, 3, H, W) in [0, 1]."""
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
        """Return scores (N, 512, h, w); 14 x 14 for features (N, 256, 32, 32)."""
        scores: Tensor = self.model(features)
        return scores


class ConventionalFeatureDiscriminator(nn.Module):
    """Eight 3x3 convolutions and two linear layers, for features of one size.

    Args:
        inputs: channels of the features.
        side: height and width of the features; 32 for pictures of 256 x 256.
    """

    def __init__(self, inputs: int = POOL3, side: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, outputs in enumerate((64, 64, 128, 128, 256, 256, 512, 512)):
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=1 + i % 2, padding=1))
            layers += [nn.InstanceNorm2d(outputs, affine=True)] if i else []
            layers.append(nn.LeakyReLU(0.2))
            inputs = outputs
        flat = inputs * (side // 16) ** 2
        self.side = side
        self.model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores (N, 1) of features (N, inputs, side, side).

        Raises:
            ValueError: for features of another size.
        """
        if features.shape[-2:] != (self.side, self.side):
            raise ValueError(
                f"the conventional feature discriminator expects features of {self.side} x {self.side}, that is "
                f"pictures of {8 * self.side} x {8 * self.side}; got features of {tuple(features.shape[-2:])}"
            )
        scores: Tensor = self.model(features)
        return scores


class Discriminator(nn.Module):
    """The patch discriminator and, optionally, a feature discriminator.

    Args:
        feature: kind of the feature discriminator: "patch", "conventional" or None (Fig. 11).
        strides: of the feature patch discriminator; the released code has (2, 2, 2).
        width: factor on the channels of the patch discriminator, for small trials.
    """

    def __init__(
        self, *, feature: str | None = "patch", strides: Sequence[int] = (2, 1, 1), width: float = 1.0
    ) -> None:
        super().__init__()
        check_choice("feature", feature, FEATURES)
        if len(strides) != 3:
            raise ValueError(f"strides must be three numbers, got {list(strides)}")
        self.patch = PatchDiscriminator(width)
        self.feature: nn.Module | None = None
        if feature:
            self.feature = (
                FeaturePatchDiscriminator(strides=strides) if feature == "patch" else ConventionalFeatureDiscriminator()
            )
        initialise(self)

    def forward(self, image: Tensor, features: Tensor | None = None) -> list[Tensor]:
        """Return the scores of each discriminator.

        Args:
            image: (N, 3, H, W) in [0, 1].
            features: (N, 256, H / 8, W / 8), VGG-16's features of `image` after pool3; needed if `feature` is set.
        """
        scores = [self.patch(image)]
        if self.feature is not None:
            if features is None:
                raise ValueError("the feature discriminator needs VGG-16's features after pool3, got None")
            scores.append(self.feature(features))
        return scores

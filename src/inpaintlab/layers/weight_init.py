"""How weights begin, where a system departs from the framework."""

from __future__ import annotations

from torch import nn


def glorot(module: nn.Module) -> None:
    """Glorot's uniform weights and zero biases for all convolutions and linear layers, TensorFlow's default."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

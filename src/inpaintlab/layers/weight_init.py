"""Initialisations that differ from PyTorch's defaults."""

from __future__ import annotations

from torch import nn


def glorot(module: nn.Module) -> None:
    """Set Glorot's uniform weights and zero biases in all convolutions and linear layers, as TensorFlow does."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

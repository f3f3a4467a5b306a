"""Attention offsets as colours: the hue is the direction, the saturation the distance; white is no offset.

The colour wheel is Middlebury's (Baker et al., "A Database and Evaluation Methodology for Optical Flow"). As in both
public codes of DeepFill, vertical and horizontal offsets are exchanged, and distances are relative to the largest of
this and all earlier samples of the batch, so the colours of a sample depend on its place in the batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# From one pure colour to the next: number of steps, the channel that changes, and whether it increases.
SECTORS = ((15, 1, True), (6, 0, False), (4, 2, True), (11, 1, False), (13, 0, True), (6, 2, False))


def colour_wheel() -> Tensor:
    """Return 55 colours, (55, 3) in [0, 1], from red through yellow, green, cyan and blue to magenta."""
    colours, current = [], [255, 0, 0]
    for steps, channel, rises in SECTORS:
        for k in range(steps):
            level = 255 * k // steps
            current[channel] = level if rises else 255 - level
            colours.append(list(current))
        current[channel] = 255 if rises else 0
    return torch.tensor(colours, dtype=torch.float64) / 255


def flow_picture(offsets: Tensor) -> Tensor:
    """Colour offsets (N, 2, h, w) in rows and columns; return pictures (N, 3, h, w) in [0, 1], multiples of 1/255."""
    u, v = offsets.double().unbind(1)
    distance = torch.hypot(u, v)
    largest = distance.flatten(1).amax(1).cummax(0).values.clamp_min(0)
    scale = largest[:, None, None] + torch.finfo(torch.float64).eps
    u, v, radius = u / scale, v / scale, distance / scale
    wheel = colour_wheel().to(offsets.device)
    place = (torch.atan2(-v, -u) / math.pi + 1) / 2 * (len(wheel) - 1)
    low = place.floor().long()
    high = (low + 1) % len(wheel)
    share = (place - low)[..., None]
    hue = ((1 - share) * wheel[low] + share * wheel[high]).movedim(-1, 1)
    pale = torch.where(radius[:, None] <= 1, 1 - radius[:, None] * (1 - hue), hue * 0.75)
    return (pale * 255).floor().div(255).float()

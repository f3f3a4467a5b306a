"""Exponential moving average of the generator's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from inpaintlab.checkpoints import checkpoint
from inpaintlab.errors import UserError
from inpaintlab.training.module import InpaintingModule


class WeightAveraging(pl.Callback):
    """Averages the weights after every generator step and saves them in checkpoints; the training does not use them.

    After n steps the decay is the smaller of `decay` and (1 + n) / (10 + n), so that the initial weights are forgotten.
    Buffers, such as the statistics of batch norm, are copied instead.

    Args:
        decay: in (0, 1).

    Raises:
        UserError: for any other decay.
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise UserError(f"trainer.average={decay} must be in (0, 1), for example 0.999, or null to turn it off")
        self.decay = decay
        self.weights: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, InpaintingModule)
        state = module.generator.state_dict()
        self.weights = {k: self.weights.get(k, v).detach().clone().to(v.device) for k, v in state.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, InpaintingModule)
        steps, rest = divmod(module.batches_done, module.generator_every)
        if rest:
            return
        decay = min(self.decay, (1 + steps) / (10 + steps))
        state = module.generator.state_dict()
        learned = [name for name, _ in module.generator.named_parameters()]
        torch._foreach_lerp_([self.weights[n] for n in learned], [state[n] for n in learned], 1 - decay)
        for name in state.keys() - set(learned):
            self.weights[name].copy_(state[name])

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, content: dict[str, Any]) -> None:
        content[checkpoint.AVERAGE] = self.weights

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, content: dict[str, Any]) -> None:
        self.weights = content[checkpoint.AVERAGE]

    @contextmanager
    def shown(self, generator: nn.Module) -> Iterator[None]:
        """Give the generator the averaged weights inside the context, and its own weights again after it."""
        own = {name: value.detach().clone() for name, value in generator.state_dict().items()}
        generator.load_state_dict(self.weights)
        try:
            yield
        finally:
            generator.load_state_dict(own)

"""Measure how activations and gradients pass through a generator, to find out why a training does not begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from inpaintlab.batch import Batch, Output
from inpaintlab.data.datamodule import InpaintingData, to_batch
from inpaintlab.training.module import InpaintingModule
from inpaintlab.training.step import frozen
from inpaintlab.utils import quiet

CONSTANT = 1e-6  # a unit is dead if it varies by less than this share of its layer's root mean square


@dataclass(frozen=True)
class LayerSignal:
    """One module of the generator, in one forward and one backward pass.

    Args:
        name: of the module in the generator; with "#2", "#3" ... for further calls of the same module.
        activation: root mean square of its output.
        dead: share of its channels that are constant over all pictures and positions.
        gradient: root mean square of the loss's gradient at its output.
        weight_gradient: root mean square of the gradient of its own parameters; None if it has none.
    """

    name: str
    activation: float
    dead: float
    gradient: float
    weight_gradient: float | None


@dataclass(frozen=True)
class Signal:
    """What `measure` found.

    Args:
        layers: in the order of their calls.
        terms: norm of the gradient that each weighted loss term gives to the generator's parameters.
        spread: standard deviation of the outputs over the pictures of the batch, root mean square over pixels. A
            generator that ignores its input has 0.
        truth_spread: the same of the true pictures.
    """

    layers: tuple[LayerSignal, ...]
    terms: dict[str, float]
    spread: float
    truth_spread: float


@dataclass
class _Call:
    name: str
    module: nn.Module
    activation: float
    dead: float
    gradients: list[Tensor] = field(default_factory=list)


class _Recorder:
    """Records the outputs (N, C, H, W) of all modules inside the context, and later their gradients."""

    def __init__(self, network: nn.Module) -> None:
        self.calls: list[_Call] = []
        self._last: Tensor | None = None
        self._counts: dict[str, int] = {}
        self._hooks = [module.register_forward_hook(self._seen(name)) for name, module in network.named_modules()]

    def _seen(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, result: Any) -> None:
            output = result[0] if isinstance(result, tuple) else result
            # A container returns the tensor of its last module, which is listed already.
            if not isinstance(output, Tensor) or output.dim() != 4 or not output.requires_grad or output is self._last:
                return
            self._last = output
            self._counts[name] = self._counts.get(name, 0) + 1
            call = _Call(name if self._counts[name] == 1 else f"{name}#{self._counts[name]}", module, *_size(output))
            self.calls.append(call)
            output.register_hook(lambda gradient: call.gradients.append(gradient.detach()))  # type: ignore[no-untyped-call]

        return hook

    def __enter__(self) -> _Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def layers(self) -> tuple[LayerSignal, ...]:
        return tuple(
            LayerSignal(
                call.name,
                call.activation,
                call.dead,
                _rms(torch.stack(call.gradients).sum(0)) if call.gradients else 0.0,
                _rms_of_gradients(call.module),
            )
            for call in self.calls
        )


def prepare(config: DictConfig, batches: int = 0) -> tuple[InpaintingModule, Batch]:
    """Build the system of a config, train it, and return it with the first batch of its training.

    Args:
        config: composed from `conf/train.yaml`.
        batches: number of batches of training before; 0 for the start. Nothing is written.
    """
    quiet.lightning()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    data: InpaintingData = instantiate(config.data, _convert_="all")
    module: InpaintingModule = instantiate(config.model, _convert_="all")
    module.set_schedule(instantiate(config.schedule, _convert_="all"), data.total_batches())
    if batches:
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, limit_train_batches=batches, limit_val_batches=0, num_sanity_val_steps=0,
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            use_distributed_sampler=False, log_every_n_steps=0,
        )  # fmt: skip
        trainer.fit(module, data)
    return module, to_batch(next(iter(data.stream())))


def measure(module: InpaintingModule, batch: Batch) -> Signal:
    """Run one forward and one backward pass of the generator's loss; the weights do not change."""
    module.train()
    module.zero_grad()
    torch.manual_seed(module.seed)
    with _Recorder(module.generator) as recorder:
        output = module(batch.image, batch.hole)
    with frozen(module.discriminator):
        losses = module.generator_losses(batch, output)
        weighted = {name: module.loss_weights[name] * loss for name, loss in losses.items() if loss.requires_grad}
        weighted = {name: loss for name, loss in weighted.items() if module.loss_weights[name]}
        torch.autograd.backward(torch.stack(list(weighted.values())).sum(), retain_graph=True)
        layers = recorder.layers()  # before the terms' own passes, which would add to the gradients
        terms = {name: _gradient_norm(loss, module.generator) for name, loss in weighted.items()}
    module.zero_grad()
    return Signal(layers, terms, _spread(output), _spread(Output(batch.image)))


def _size(output: Tensor) -> tuple[float, float]:
    """Return the root mean square of features (N, C, H, W), and the share of constant channels."""
    values = output.detach().float()
    size = _rms(values)
    spread = values.transpose(0, 1).flatten(1).std(1, correction=0)
    return size, float((spread <= CONSTANT * size).float().mean())


def _rms(values: Tensor) -> float:
    return float(values.detach().float().square().mean().sqrt())


def _rms_of_gradients(module: nn.Module) -> float | None:
    gradients = [p.grad.flatten() for p in module.parameters(recurse=False) if p.grad is not None]
    return _rms(torch.cat(gradients)) if gradients else None


def _gradient_norm(loss: Tensor, network: nn.Module) -> float:
    parameters = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return float(torch.nn.utils.get_total_norm([g for g in gradients if g is not None]))


def _spread(output: Output) -> float:
    return float(output.image.detach().float().var(0, correction=0).mean().sqrt())

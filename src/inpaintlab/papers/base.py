"""The one training loop: a paper names its loss terms, the config weighs them, this module sums, logs and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from inpaintlab.batch import Batch, Output
from inpaintlab.image import composite
from inpaintlab.losses.adversarial import Adversarial, Scores
from inpaintlab.papers.finite import FiniteGuard

CHECK_EVERY = 25  # batches between two looks at the guard; it still names the exact batch


class InpaintingModule(pl.LightningModule):
    """Base of all systems.

    A paper sets `terms` and supplies `generator_terms`; with a discriminator also `judge`. It may replace `fake` and
    `discriminator_loss`. Nothing else is meant to be overridden. A generator with a method `constrain` has it called
    after each of its steps.

    Training is counted in batches (`batches_done`), never in optimiser steps: Lightning's `global_step` counts the
    steps of both optimisers. All randomness inside a step is seeded from (seed, batch), so a resumed run draws
    what an uninterrupted one would have drawn.

    Args:
        generator: called as `generator(image, hole) -> Output`.
        loss_weights: one weight for each of `terms`, and for "adversarial" if there is a discriminator. A term of
            weight 0 trains nothing; it is still logged, unless the paper leaves it out because it is expensive.
        optimizer_g: builds the generator's optimiser from its parameters.
        scheduler: builds a learning-rate schedule, counted in batches, for each optimiser; or None.
        discriminator, adversarial, optimizer_d: all three, or none.
        generator_every: the generator steps in every so-manieth batch, the discriminator in each.
        take_turns: the discriminator rests in the generator's batches. DeepFill v1's five steps of the critic, each on
            new pictures, and one of the generator are generator_every=6 with take_turns.
        seed: of the randomness inside a step.

    Raises:
        ValueError: if the keys of `loss_weights` are not exactly the terms, a part of the GAN is missing, or a
            discriminator would never step.
    """

    terms: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        generator: nn.Module,
        loss_weights: Mapping[str, float],
        optimizer_g: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        discriminator: nn.Module | None = None,
        adversarial: Adversarial | None = None,
        optimizer_d: Callable[..., Optimizer] | None = None,
        generator_every: int = 1,
        take_turns: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        parts = {"discriminator": discriminator, "adversarial": adversarial, "optimizer_d": optimizer_d}
        missing = [name for name, part in parts.items() if part is None]
        if 0 < len(missing) < len(parts):
            raise ValueError(f"a discriminator needs {', '.join(parts)}; missing: {', '.join(missing)}")
        expected = (*self.terms, "adversarial") if discriminator is not None else self.terms
        _require_keys(type(self).__name__, loss_weights, expected)
        if not any(loss_weights.values()):
            raise ValueError(f"all loss weights are 0, so nothing would be trained: {dict(loss_weights)}")
        if generator_every < 1:
            raise ValueError(f"generator_every={generator_every} must be at least 1")
        if take_turns and generator_every < 2:
            raise ValueError("take_turns needs generator_every of at least 2, or the discriminator would never step")

        self.generator = generator
        self.discriminator = discriminator
        self.adversarial = adversarial
        self.loss_weights = dict(loss_weights)
        self.generator_every, self.take_turns = generator_every, take_turns
        self.seed = seed
        self.batches_done = 0
        self.guard = FiniteGuard()
        self._optimizer_g, self._optimizer_d, self._scheduler = optimizer_g, optimizer_d, scheduler
        self._extras: dict[str, Tensor] = {}
        self._logged: dict[str, float] = {}

    # ------------------------------------------------------------------ what a paper supplies
    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """The unweighted loss terms of the generator, exactly those named in `terms`."""
        raise NotImplementedError

    def fake(self, batch: Batch, output: Output) -> Tensor:
        """What the discriminators see in place of real pictures: the composite, unless a paper says otherwise."""
        return self.composite(batch, output)

    def judge(self, image: Tensor, batch: Batch) -> Scores:
        """The discriminators' scores of pictures (N, 3, H, W) that belong to `batch`."""
        assert self.discriminator is not None
        return [self.discriminator(image)]

    def discriminator_loss(self, batch: Batch, output: Output) -> Tensor:
        """The discriminators' loss on detached fake and on real pictures."""
        assert self.adversarial is not None
        fake = self.judge(self.fake(batch, output).detach(), batch)
        return self.adversarial.discriminator(fake, self.judge(batch.image, batch))

    # ------------------------------------------------------------------ what everybody uses
    def forward(self, image: Tensor, hole: Tensor) -> Output:
        return self.generator(image, hole)

    @staticmethod
    def composite(batch: Batch, output: Output) -> Tensor:
        """The prediction inside the hole, the picture outside."""
        return composite(batch.image, output.image, batch.hole)

    def remarks(self) -> list[str]:
        """What a reader of results must know about this training beyond its config, a sentence each."""
        return []

    def note(self, name: str, value: Tensor) -> None:
        """Log a scalar that is no loss term, a health figure say, with the next logged batch."""
        self._extras[name] = value.detach()

    @property
    def logged(self) -> dict[str, float]:
        """The values last logged, for progress bars."""
        return self._logged

    # ------------------------------------------------------------------ the loop
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        number = self.batches_done
        torch.manual_seed(((self.seed * 1_000_003 + number) * 1_000_003 + self.global_rank) % 2**63)
        values: dict[str, Tensor] = {}
        generator_turn = (number + 1) % self.generator_every == 0
        adversarial = self.discriminator is not None and self.loss_weights["adversarial"] != 0

        with torch.set_grad_enabled(generator_turn):
            output = self(batch.image, batch.hole)
        optimizers = self.optimizers()
        if not isinstance(optimizers, list):
            optimizers = [optimizers]
        if adversarial and not (generator_turn and self.take_turns):
            values["discriminator"] = self.discriminator_loss(batch, output)
            self._step(optimizers[1], values["discriminator"])
        if generator_turn:
            with _frozen(self.discriminator):
                terms = self.generator_terms(batch, output)
                wanted = tuple(name for name in self.terms if name in terms or self.loss_weights[name])
                _require_keys(type(self).__name__, terms, wanted)
                if adversarial:
                    assert self.adversarial is not None
                    fake = self.judge(self.fake(batch, output), batch)
                    real = self.judge(batch.image, batch) if self.adversarial.relativistic else None
                    terms["adversarial"] = self.adversarial.generator(fake, real)
                weighed = [self.loss_weights[name] * term for name, term in terms.items() if self.loss_weights[name]]
                total = torch.stack(weighed).sum()
                self._step(optimizers[0], total)
                self._constrain()
            values.update(terms, total=total)

        self.guard.watch(number, values)
        schedulers = self.lr_schedulers()
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            if scheduler is not None:
                scheduler.step()
        self.batches_done = number + 1
        if self.batches_done % CHECK_EVERY == 0:
            self.guard.check()
        self._log(values)

    def _constrain(self) -> None:
        constrain = getattr(self.generator, "constrain", None)
        if constrain is not None:
            constrain()

    def _step(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        with torch.autocast(loss.device.type, enabled=False):  # else it reaches what the forward pass kept out of it
            self.manual_backward(loss)
        optimizer.step()

    def _log(self, values: dict[str, Tensor]) -> None:
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
        if not every or self.batches_done % every:
            return
        values = {f"train/{name}": value.detach().float() for name, value in (values | self._extras).items()}
        self._extras = {}
        stacked = self.trainer.strategy.reduce(torch.stack(list(values.values())), reduce_op="mean")
        self._logged = dict(zip(values, stacked.tolist(), strict=True))
        rates = {f"train/lr_{'gd'[i]}": o.param_groups[0]["lr"] for i, o in enumerate(self.trainer.optimizers)}
        # Not self.log: it costs 0.3 ms per scalar and would put optimiser steps on the axis.
        for logger in self.loggers:
            logger.log_metrics({**self._logged, **rates}, step=self.batches_done)

    def configure_optimizers(self) -> Any:
        optimizers = [self._optimizer_g(self.generator.parameters())]
        if self.discriminator is not None:
            assert self._optimizer_d is not None
            optimizers.append(self._optimizer_d(self.discriminator.parameters()))
        schedulers = [self._scheduler(optimizer) for optimizer in optimizers] if self._scheduler else []
        return optimizers, schedulers

    # ------------------------------------------------------------------ checkpoints
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.guard.check()
        broken = [name for name, value in self.named_parameters() if not bool(torch.isfinite(value).all())]
        if broken:
            raise FloatingPointError(f"refused to save: not finite after batch {self.batches_done}: {broken[:5]}")
        checkpoint["batches_done"] = self.batches_done

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.batches_done = checkpoint["batches_done"]
        # A resumed run is a new pass of Lightning's loop over the rest of the stream, which starts where
        # batches_done says; Lightning's own counters, kept in the middle of an epoch, would skip that many again.
        checkpoint.pop("loops", None)


def _require_keys(owner: str, given: Mapping[str, Any], expected: tuple[str, ...]) -> None:
    unknown, missing = sorted(set(given) - set(expected)), sorted(set(expected) - set(given))
    if unknown or missing:
        raise ValueError(
            f"{owner}: loss weights and loss terms do not match. The terms are {', '.join(expected) or 'none'}; "
            f"without a term: {', '.join(unknown) or 'none'}; without a weight: {', '.join(missing) or 'none'}."
        )


@contextmanager
def _frozen(module: nn.Module | None) -> Iterator[None]:
    """No gradients for the weights of `module` (those to its input still flow)."""
    parameters = [p for p in module.parameters() if p.requires_grad] if module is not None else []
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)

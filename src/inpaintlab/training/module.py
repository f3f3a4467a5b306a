"""The one training loop: a paper computes loss terms; this module weights, sums and logs them and updates networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from inpaintlab.batch import Batch, Output
from inpaintlab.image import composite
from inpaintlab.losses.adversarial import Adversarial, Scores
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.training.health import FeatureSizes, Health
from inpaintlab.training.schedules import Schedule
from inpaintlab.training.step import StepOptions, frozen, split

CHECK_EVERY = 25  # batches between two health checks; a check still names the exact batch


class InpaintingModule(pl.LightningModule):
    """Base of all systems.

    A paper sets `terms` and implements `generator_terms`. It may override `judge`, `fake`, `discriminator_loss` and
    `remarks`, and nothing else.

    Training is counted in batches (`batches_done`), never in optimiser steps: Lightning's `global_step` counts the
    steps of both optimisers. All randomness inside a step is seeded from (seed, batch), so a resumed run draws the same
    numbers as an uninterrupted one.

    Args:
        generator: its `constrain` is called after each of its optimiser steps.
        loss_weights: one weight for each of `terms`, and for "adversarial" if there is a discriminator. A term with
            weight 0 has no gradient; it is still logged, unless the paper omits it because it is expensive.
        optimizer_g: builds the generator's optimiser from its parameters.
        discriminator, adversarial, optimizer_d: all three, or none.
        generator_every: the generator is updated every N batches, the discriminator in each batch.
        take_turns: do not update the discriminator in the generator's batches. DeepFill v1's five discriminator steps,
            each on new pictures, and one generator step are generator_every=6 with take_turns.
        seed: of the randomness inside a step.

    Raises:
        ValueError: if the keys of `loss_weights` are not exactly the terms, a part of the GAN is missing, or the
            discriminator would never be updated.
    """

    terms: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        generator: InpaintingGenerator,
        loss_weights: Mapping[str, float],
        optimizer_g: Callable[..., Optimizer],
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
            raise ValueError("take_turns needs generator_every of at least 2, or the discriminator is never updated")

        self.generator = generator
        self.discriminator = discriminator
        self.adversarial = adversarial
        self.loss_weights = dict(loss_weights)
        self.generator_every, self.take_turns = generator_every, take_turns
        self.seed = seed
        self.batches_done = 0
        self._optimizer_g, self._optimizer_d = optimizer_g, optimizer_d
        self._extras: dict[str, list[Tensor]] = {}  # name -> values of the parts of this batch
        self._latest: dict[str, Tensor] = {}  # scalars since the last logged batch
        self._logged: dict[str, float] = {}
        self.set_step_options(StepOptions())
        self.set_schedule(Schedule(), batches=1)

    def set_step_options(self, options: StepOptions) -> None:
        """Set how the optimisers step. Call it before training; until then the defaults of `StepOptions` hold."""
        self.step_options = options
        self.health = Health(options.health, options.warn)

    def set_schedule(self, schedule: Schedule, batches: int) -> None:
        """Set the schedule of both learning rates for a training of `batches`; until then they are constant."""
        self._schedule, self._batches = schedule, batches

    # ------------------------------------------------------------------ for a paper to implement
    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """The unweighted loss terms of the generator, exactly those named in `terms`."""
        raise NotImplementedError

    def fake(self, batch: Batch, output: Output) -> Tensor:
        """The fake pictures that the discriminators see: the composite, unless a paper overrides this."""
        return self.composite(batch, output)

    def judge(self, image: Tensor, batch: Batch) -> Scores:
        """The discriminators' scores for pictures (N, 3, H, W) that belong to `batch`."""
        assert self.discriminator is not None
        return [self.discriminator(image)]

    def discriminator_loss(self, batch: Batch, output: Output) -> Tensor:
        """The discriminators' loss on detached fake and on real pictures."""
        assert self.adversarial is not None
        fake = self.judge(self.fake(batch, output).detach(), batch)
        real = self.judge(batch.image, batch)
        self.note_scores(fake, real)
        return self.adversarial.discriminator(fake, real)

    # ------------------------------------------------------------------ for papers and programs to use
    def forward(self, image: Tensor, hole: Tensor) -> Output:
        return self.generator(image, hole)

    @staticmethod
    def composite(batch: Batch, output: Output) -> Tensor:
        """The prediction inside the hole and the picture outside, (N, 3, H, W)."""
        return composite(batch.image, output.image, batch.hole)

    def remarks(self) -> list[str]:
        """Sentences that a reader of results needs besides the config; they go into the record and below tables."""
        return []

    @property
    def is_adversarial(self) -> bool:
        """Whether there is a discriminator and its loss term has a weight."""
        return self.discriminator is not None and self.loss_weights["adversarial"] != 0

    def note(self, name: str, value: Tensor) -> None:
        """Log a scalar that is not a loss term, as `train/<name>`, or as `<name>` if the name contains a slash."""
        self._extras.setdefault(name, []).append(value.detach())

    def note_scores(self, fake: Scores, real: Scores) -> None:
        """Log the mean discriminator scores; call it when you override `discriminator_loss`."""
        for name, scores in (("fake", fake), ("real", real)):
            self.note(f"train/score_{name}", torch.stack([s.detach().float().mean() for s in scores]).mean())

    @property
    def logged(self) -> dict[str, float]:
        """The scalars that were logged last, for progress bars."""
        return self._logged

    # ------------------------------------------------------------------ the loop
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        number = self.batches_done
        torch.manual_seed(((self.seed * 1_000_003 + number) * 1_000_003 + self.global_rank) % 2**63)
        values: dict[str, Tensor] = {}
        generator_turn = (number + 1) % self.generator_every == 0
        adversarial = self.is_adversarial
        parts = split(batch, self.step_options.accumulate)
        optimizers = self.optimizers()
        if not isinstance(optimizers, list):
            optimizers = [optimizers]
        factor = self._schedule.factor(number, self._batches)
        for group in (group for optimizer in self.trainer.optimizers for group in optimizer.param_groups):
            group["lr"] = group["initial_lr"] * factor

        with FeatureSizes(self.generator, self.logged_after(number + 1)) as features:
            # One forward pass serves both steps. With several parts only one graph is kept at a time.
            shared = self._run(batch, generator_turn) if len(parts) == 1 else None
            if adversarial and not (generator_turn and self.take_turns):
                losses = (self.discriminator_loss(part, shared or self._run(part, False)) for part in parts)
                values["discriminator"] = self._step("discriminator", optimizers[1], losses)
            if generator_turn:
                with frozen(self.discriminator):
                    terms: list[dict[str, Tensor]] = []
                    losses = (self._generator_loss(part, shared or self._run(part, True), terms) for part in parts)
                    total = self._step("generator", optimizers[0], losses)
                    self.generator.constrain()
                values.update({name: torch.stack([t[name] for t in terms]).mean() for name in terms[0]})
                values["total"] = total

        extras = {name: torch.stack(of_parts).mean() for name, of_parts in self._extras.items()}
        self._extras = {}
        scalars = values | extras | features.summary()
        self.health.watch(number, scalars, features.sizes)
        self._latest |= scalars
        self.batches_done = number + 1
        if self.batches_done % CHECK_EVERY == 0:
            self.check_health()
        self._log()

    def _run(self, batch: Batch, graph: bool) -> Output:
        with torch.set_grad_enabled(graph):
            return self(batch.image, batch.hole)

    def _generator_loss(self, batch: Batch, output: Output, terms_of_parts: list[dict[str, Tensor]]) -> Tensor:
        """The weighted sum of the loss terms; the unweighted terms are appended to `terms_of_parts`."""
        terms = self.generator_losses(batch, output)
        terms_of_parts.append({name: term.detach() for name, term in terms.items()})
        weighted = [self.loss_weights[name] * term for name, term in terms.items() if self.loss_weights[name]]
        return torch.stack(weighted).sum()

    def generator_losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """The unweighted loss terms of the generator, "adversarial" included if it has a weight."""
        terms = self.generator_terms(batch, output)
        wanted = tuple(name for name in self.terms if name in terms or self.loss_weights[name])
        _require_keys(type(self).__name__, terms, wanted)
        if self.is_adversarial:
            assert self.adversarial is not None
            fake = self.judge(self.fake(batch, output), batch)
            real = self.judge(batch.image, batch) if self.adversarial.relativistic else None
            terms["adversarial"] = self.adversarial.generator(fake, real)
        return terms

    def _step(self, name: str, optimizer: Any, losses: Iterable[Tensor]) -> Tensor:
        """Update the network `name` with the mean of the parts' losses; return that mean."""
        optimizer.zero_grad()
        count = self.step_options.accumulate
        seen: list[Tensor] = []
        for loss in losses:
            last = len(seen) == count - 1
            # Inside autocast, operations that the forward pass kept in float32 would be differentiated in bfloat16.
            outside = torch.autocast(loss.device.type, enabled=False)
            with outside, nullcontext() if last else self._without_exchange():
                self.manual_backward(loss / count)
            seen.append(loss.detach())
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        self.note(f"health/gradient_norm_{name}", norm)
        if self.step_options.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.step_options.clip_norm, norm)
        if self.health.may_step(norm):
            optimizer.step()
        # Autocast caches half-precision copies of the weights for the whole batch; they are out of date now.
        torch.clear_autocast_cache()
        return torch.stack(seen).mean()

    def _without_exchange(self) -> AbstractContextManager[None]:
        """No exchange of gradients between processes: they exchange once, after the last part of a batch."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def logged_after(self, batches: int) -> bool:
        """Whether the scalars are logged after batch number `batches`, counted from 1."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
        return bool(every) and batches % every == 0

    def check_health(self) -> None:
        """Check the scalars of the batches since the last check, averaged over all processes.

        Raises:
            Unhealthy: naming the problem and its first batch, if `StepOptions.health` is "stop".
        """
        self.health.check(lambda scalars: self.trainer.strategy.reduce(scalars, reduce_op="mean"))

    def _log(self) -> None:
        if not self.logged_after(self.batches_done):
            return
        scalars, self._latest = self._latest, {}
        stacked = torch.stack([value.detach().float() for value in scalars.values()])
        means = self.trainer.strategy.reduce(stacked, reduce_op="mean").tolist()
        names = [name if "/" in name else f"train/{name}" for name in scalars]
        self._logged = dict(zip(names, means, strict=True))
        rates = {f"train/lr_{'gd'[i]}": o.param_groups[0]["lr"] for i, o in enumerate(self.trainer.optimizers)}
        # Not self.log: it costs 0.3 ms per scalar and would put optimiser steps on the axis.
        for logger in self.loggers:
            logger.log_metrics({**self._logged, **rates, **self.health.counts()}, step=self.batches_done)

    def configure_optimizers(self) -> Any:
        optimizers = [self._optimizer_g(self.generator.parameters())]
        if self.discriminator is not None:
            assert self._optimizer_d is not None
            optimizers.append(self._optimizer_d(self.discriminator.parameters()))
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["initial_lr"] = group["lr"]  # saved with the optimiser; the schedule multiplies it
        return optimizers

    # ------------------------------------------------------------------ checkpoints
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.check_health()
        broken = [name for name, value in self.named_parameters() if not bool(torch.isfinite(value).all())]
        if broken:
            raise FloatingPointError(f"refused to save: not finite after batch {self.batches_done}: {broken[:5]}")
        checkpoint["batches_done"] = self.batches_done
        checkpoint["health"] = self.health.counts()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.batches_done = checkpoint["batches_done"]
        self.health.restore(checkpoint.get("health", {}))
        # A resumed run is a new pass of Lightning's loop over the rest of the stream, which starts at batches_done.
        # Lightning's own counters, saved in the middle of an epoch, would skip those batches a second time.
        checkpoint.pop("loops", None)


def _require_keys(owner: str, given: Mapping[str, Any], expected: tuple[str, ...]) -> None:
    unknown, missing = sorted(set(given) - set(expected)), sorted(set(expected) - set(given))
    if unknown or missing:
        raise ValueError(
            f"{owner}: loss weights and loss terms do not match. The terms are {', '.join(expected) or 'none'}; "
            f"without a term: {', '.join(unknown) or 'none'}; without a weight: {', '.join(missing) or 'none'}."
        )

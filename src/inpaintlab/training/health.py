"""Notices a training that goes wrong: figures that are no numbers, exploding gradients, a dead critic, dead features.

Asking a GPU after every step how it went would make it wait for the host. The figures of each batch stay on the device
instead, and every few batches, and before every save, all of them are read together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from inpaintlab.errors import UserError, check_choice

POLICIES = ("stop", "continue")
EXPLODES = 1000.0  # times the usual gradient norm; those of GANs vary by about ten
LEARNT_AFTER = 100  # batches that tell what is usual
NO_GRADIENT = 1e-7  # norm below which a discriminator no longer learns ...
SAME_SCORES = 1e-5  # ... or no longer tells apart, relative to its scores ...
PATIENCE = 50  # ... in so many batches running
DEAD = 1e-8  # size of features; MSA-Net's collapse ended at 2e-12, its weakest start that still trained was 7e-5
DEAD_LOOKS = 3  # features are only looked at in logged batches

ADVICE = {
    "number": "Lower the learning rate or the weight of that term, train with trainer.precision=32, or leave such "
    "steps out with trainer.health=continue",
    "gradient": "Lower the learning rate, or bound the steps with trainer.clip_norm",
    "discriminator": "Lower its learning rate or the weight of the adversarial term",
    "features": "Another initialisation or a lower learning rate may keep them alive",
}


class Unhealthy(UserError):
    """A training went wrong."""


class LossNotFinite(Unhealthy):
    """A loss term or a gradient became NaN or infinite."""


class Health:
    """Watches the figures of each batch.

    Args:
        policy: "stop" raises at the first problem, before anything is saved. "continue" warns once for each problem,
            and leaves out steps whose gradients are not finite, which makes a GPU wait for the host at every step.
        warn: called with the sentence.
    """

    def __init__(self, policy: str = "stop", warn: Callable[[str], object] = print) -> None:
        check_choice("trainer.health", policy, POLICIES)
        self.policy, self.warn = policy, warn
        self._counts = Counter({"health/not_finite": 0, "health/steps_left_out": 0, "health/problems": 0})
        self._waiting: list[tuple[int, dict[str, Tensor]]] = []
        self._usual: dict[str, tuple[int, float]] = {}  # gradient norm -> batches seen, exponential mean
        self._running: Counter[str] = Counter()  # batches running in which something was wrong
        self._told: set[str] = set()

    def watch(self, batch: int, figures: Mapping[str, Tensor], sizes: Mapping[str, Tensor] | None = None) -> None:
        """Note the figures of batch number `batch`: scalars by name, and the sizes of features by module."""
        named = dict(figures) | {f"features/{name}": size for name, size in (sizes or {}).items()}
        self._waiting.append((batch, {name: value.detach().float() for name, value in named.items()}))

    def may_step(self, norm: Tensor) -> bool:
        """Whether the optimiser may take a step with this gradient norm."""
        if self.policy == "stop" or bool(torch.isfinite(norm)):
            return True
        self._counts["health/steps_left_out"] += 1
        return False

    def counts(self) -> dict[str, float]:
        """For the logs and the checkpoint: values that were not finite, steps left out, problems."""
        return dict(self._counts)

    def restore(self, counts: Mapping[str, Any]) -> None:
        """Go on counting where a checkpoint stopped."""
        self._counts.update({name: int(count) for name, count in counts.items()})

    def check(self, reduce: Callable[[Tensor], Tensor] = lambda figures: figures) -> None:
        """Read what was noted.

        Args:
            reduce: mean over the processes, so that all of them see the same.

        Raises:
            Unhealthy: naming what is wrong and in which batch, if the policy is to stop.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        flat = reduce(torch.stack([value for _, figures in waiting for value in figures.values()])).tolist()
        values = iter(flat)
        for batch, figures in waiting:
            self._look(batch, {name: next(values) for name in figures})

    # ------------------------------------------------------------------ the rules
    def _look(self, batch: int, figures: dict[str, float]) -> None:
        broken = [name for name, value in figures.items() if not math.isfinite(value)]
        self._counts["health/not_finite"] += len(broken)
        terms = ", ".join(f"`{name}`" for name in broken if "/" not in name) or ", ".join(broken)
        if broken:
            self._problem("number", "number", batch, f"the loss term {terms} became NaN or infinite in batch {batch}")
            return
        self._told.discard("number")
        for name, value in figures.items():
            if name.startswith("health/gradient_norm_"):
                self._gradient(name, batch, value)
            elif name.startswith("features/"):
                module = name.removeprefix("features/")
                if self._lasts(name, value < DEAD, DEAD_LOOKS):
                    text = f"the features of `{module}` are dead: their size was {value:.1g} in batch {batch}"
                    self._problem(name, "features", batch, text)
        if "health/gradient_norm_discriminator" in figures:
            self._discriminator(batch, figures)

    def _gradient(self, name: str, batch: int, norm: float) -> None:
        seen, usual = self._usual.get(name, (0, norm))
        network = name.rpartition("_")[2]
        if seen >= LEARNT_AFTER and norm > EXPLODES * usual:
            text = f"the gradient of the {network} exploded in batch {batch}: norm {norm:.3g}, usually {usual:.3g}"
            self._problem(name, "gradient", batch, text)
            return
        self._told.discard(name)
        weight = max(0.01, 1 / (seen + 1))
        self._usual[name] = (seen + 1, usual + weight * (norm - usual))

    def _discriminator(self, batch: int, figures: dict[str, float]) -> None:
        norm = figures["health/gradient_norm_discriminator"]
        fake, real = (figures.get(f"train/score_{side}", math.nan) for side in ("fake", "real"))
        alike = abs(fake - real) <= SAME_SCORES * max(abs(fake), abs(real))
        if self._lasts("discriminator", norm < NO_GRADIENT or alike, PATIENCE):
            text = (
                f"the discriminator collapsed: for {PATIENCE} batches, up to batch {batch}, it learnt nothing or told "
                f"nothing apart (gradient norm {norm:.1g}, mean score of fake pictures {fake:.4g}, of real ones "
                f"{real:.4g})"
            )
            self._problem("discriminator", "discriminator", batch, text)

    def _lasts(self, what: str, wrong: bool, times: int) -> bool:
        self._running[what] = self._running[what] + 1 if wrong else 0
        if not wrong:
            self._told.discard(what)
        return self._running[what] >= times

    def _problem(self, what: str, kind: str, batch: int, text: str) -> None:
        if self.policy == "stop":
            error = LossNotFinite if kind == "number" else Unhealthy
            raise error(
                f"{text}. Nothing was saved after it; the last checkpoint is from before. {ADVICE[kind]}, and start "
                "the same command again: it continues from there."
            )
        if what not in self._told:
            self._told.add(what)
            self._counts["health/problems"] += 1
            self.warn(f"{text}. The training goes on (trainer.health=continue)")


class FeatureSizes:
    """Sizes (root of the mean square) of what the innermost modules of a network return, while used as a context.

    Args:
        network: if it is compiled, its modules are not called one by one, and nothing is seen.
        active: do nothing otherwise.
    """

    def __init__(self, network: nn.Module, active: bool) -> None:
        self.sizes: dict[str, Tensor] = {}
        leaves = [(n, m) for n, m in network.named_modules() if not any(m.children())] if active else []
        self._hooks = [module.register_forward_hook(self._seen(name)) for name, module in leaves]

    def _seen(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, result: Any) -> None:
            if isinstance(result, Tensor) and result.dim() == 4 and result.is_floating_point():
                size = result.detach().float().square().mean().sqrt()
                self.sizes[name] = torch.maximum(self.sizes.get(name, size), size)  # of several passes

        return hook

    def __enter__(self) -> FeatureSizes:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def summary(self) -> dict[str, Tensor]:
        """Median and least of the sizes, for the logs."""
        if not self.sizes:
            return {}
        sizes = torch.stack(list(self.sizes.values()))
        return {"health/feature_size": sizes.median(), "health/feature_size_least": sizes.min()}

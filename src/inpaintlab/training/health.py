"""Detect a failing training: values that are not finite, exploding gradients, a collapsed discriminator, dead features.

Reading a value from a GPU after every step would make it wait for the host. The scalars of each batch therefore stay on
the device, and are read together every few batches and before every save.
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
EXPLODES = 1000.0  # a gradient norm this many times the usual one has exploded; in GANs norms vary by a factor of ten
LEARNT_AFTER = 100  # batches after which the usual gradient norm is known
NO_GRADIENT = 1e-7  # a discriminator collapsed if its gradient norm is below this ...
SAME_SCORES = 1e-5  # ... or its scores for fake and real pictures differ by less than this, relative to the scores ...
PATIENCE = 50  # ... in this many consecutive batches
DEAD = 1e-8  # size below which features are dead: a collapsed MSA-Net had 2e-12, its weakest healthy start 7e-5
DEAD_LOOKS = 3  # consecutive logged batches with dead features; the sizes are only measured in logged batches

ADVICE = {
    "number": "Lower the learning rate or the weight of that term, train with trainer.precision=32, or skip such steps "
    "with trainer.health=continue",
    "gradient": "Lower the learning rate, or limit the gradient norm with trainer.clip_norm",
    "discriminator": "Lower its learning rate or the weight of the adversarial term",
    "features": "Try another seed or a lower learning rate",
}


class Unhealthy(UserError):
    """A training is failing."""


class LossNotFinite(Unhealthy):
    """A loss term or a gradient became NaN or infinite."""


class Health:
    """Checks the scalars of each batch.

    Args:
        policy: "stop" raises at the first problem, before anything is saved. "continue" warns once per problem and
            skips steps whose gradients are not finite, for which a GPU waits for the host at every step.
        warn: called with each warning.

    Raises:
        UserError: for any other policy.
    """

    def __init__(self, policy: str = "stop", warn: Callable[[str], object] = print) -> None:
        check_choice("trainer.health", policy, POLICIES)
        self.policy, self.warn = policy, warn
        self._counts = Counter({"health/not_finite": 0, "health/steps_left_out": 0, "health/problems": 0})
        self._waiting: list[tuple[int, dict[str, Tensor]]] = []
        self._usual: dict[str, tuple[int, float]] = {}  # gradient norm -> batches seen, exponential mean
        self._running: Counter[str] = Counter()  # problem -> consecutive batches that have it
        self._warned: set[str] = set()  # problems that have not ended since their warning

    def watch(self, batch: int, scalars: Mapping[str, Tensor], sizes: Mapping[str, Tensor] | None = None) -> None:
        """Add the scalars of a batch, to be read by the next `check`.

        Args:
            batch: its number, counted from 0.
            scalars: by name.
            sizes: of the features, by module; see `FeatureSizes`.
        """
        named = dict(scalars) | {f"features/{name}": size for name, size in (sizes or {}).items()}
        self._waiting.append((batch, {name: value.detach().float() for name, value in named.items()}))

    def may_step(self, norm: Tensor) -> bool:
        """Whether the optimiser may take a step with gradients of this norm; counts the steps that it may not."""
        if self.policy == "stop" or bool(torch.isfinite(norm)):
            return True
        self._counts["health/steps_left_out"] += 1
        return False

    def counts(self) -> dict[str, float]:
        """Number of values that were not finite, of skipped steps and of problems; for logs and checkpoints."""
        return dict(self._counts)

    def restore(self, counts: Mapping[str, Any]) -> None:
        """Continue from the counts in a checkpoint."""
        self._counts.update({name: int(count) for name, count in counts.items()})

    def check(self, reduce: Callable[[Tensor], Tensor] = lambda scalars: scalars) -> None:
        """Read the scalars since the last check and look for problems.

        Args:
            reduce: takes the mean over the processes, so that all of them find the same problems.

        Raises:
            Unhealthy: naming the problem and its batch, if the policy is "stop".
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        flat = reduce(torch.stack([value for _, scalars in waiting for value in scalars.values()])).tolist()
        values = iter(flat)
        for batch, scalars in waiting:
            self._check_batch(batch, {name: next(values) for name in scalars})

    # ------------------------------------------------------------------ the rules
    def _check_batch(self, batch: int, scalars: dict[str, float]) -> None:
        broken = [name for name, value in scalars.items() if not math.isfinite(value)]
        self._counts["health/not_finite"] += len(broken)
        terms = ", ".join(f"`{name}`" for name in broken if "/" not in name) or ", ".join(broken)
        if broken:
            self._problem("number", "number", batch, f"the loss term {terms} became NaN or infinite in batch {batch}")
            return
        self._warned.discard("number")
        for name, value in scalars.items():
            if name.startswith("health/gradient_norm_"):
                self._gradient(name, batch, value)
            elif name.startswith("features/"):
                module = name.removeprefix("features/")
                if self._lasts(name, value < DEAD, DEAD_LOOKS):
                    text = f"the features of `{module}` are dead: their size was {value:.1g} in batch {batch}"
                    self._problem(name, "features", batch, text)
        if "health/gradient_norm_discriminator" in scalars:
            self._discriminator(batch, scalars)

    def _gradient(self, name: str, batch: int, norm: float) -> None:
        seen, usual = self._usual.get(name, (0, norm))
        network = name.rpartition("_")[2]
        if seen >= LEARNT_AFTER and norm > EXPLODES * usual:
            text = f"the gradient of the {network} exploded in batch {batch}: norm {norm:.3g}, usually {usual:.3g}"
            self._problem(name, "gradient", batch, text)
            return
        self._warned.discard(name)
        weight = max(0.01, 1 / (seen + 1))
        self._usual[name] = (seen + 1, usual + weight * (norm - usual))

    def _discriminator(self, batch: int, scalars: dict[str, float]) -> None:
        norm = scalars["health/gradient_norm_discriminator"]
        fake, real = (scalars.get(f"train/score_{side}", math.nan) for side in ("fake", "real"))
        alike = abs(fake - real) <= SAME_SCORES * max(abs(fake), abs(real))
        if self._lasts("discriminator", norm < NO_GRADIENT or alike, PATIENCE):
            text = (
                f"the discriminator collapsed: for {PATIENCE} batches, up to batch {batch}, it had no gradient or gave "
                f"fake and real pictures the same score (gradient norm {norm:.1g}, mean scores: fake {fake:.4g}, "
                f"real {real:.4g})"
            )
            self._problem("discriminator", "discriminator", batch, text)

    def _lasts(self, what: str, wrong: bool, times: int) -> bool:
        """Whether `what` has been wrong in this many consecutive batches."""
        self._running[what] = self._running[what] + 1 if wrong else 0
        if not wrong:
            self._warned.discard(what)
        return self._running[what] >= times

    def _problem(self, what: str, kind: str, batch: int, text: str) -> None:
        if self.policy == "stop":
            error = LossNotFinite if kind == "number" else Unhealthy
            raise error(
                f"{text}. The last checkpoint was saved before that. {ADVICE[kind]}, and start the same command again: "
                "it continues from that checkpoint."
            )
        if what not in self._warned:
            self._warned.add(what)
            self._counts["health/problems"] += 1
            self.warn(f"{text}. Training continues (trainer.health=continue)")


class FeatureSizes:
    """Measures the features that the innermost modules of a network return inside the context.

    `sizes` maps the name of a module to the root mean square of its features (N, C, H, W), the largest of several
    calls.

    Args:
        network: a compiled network does not call its modules, so its features are not measured.
        active: whether to measure at all.
    """

    def __init__(self, network: nn.Module, active: bool) -> None:
        self.sizes: dict[str, Tensor] = {}
        leaves = [(n, m) for n, m in network.named_modules() if not any(m.children())] if active else []
        self._hooks = [module.register_forward_hook(self._seen(name)) for name, module in leaves]

    def _seen(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, result: Any) -> None:
            if isinstance(result, Tensor) and result.dim() == 4 and result.is_floating_point():
                size = result.detach().float().square().mean().sqrt()
                self.sizes[name] = torch.maximum(self.sizes.get(name, size), size)

        return hook

    def __enter__(self) -> FeatureSizes:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def summary(self) -> dict[str, Tensor]:
        """Median and minimum of the sizes, for the logs; empty if nothing was measured."""
        if not self.sizes:
            return {}
        sizes = torch.stack(list(self.sizes.values()))
        return {"health/feature_size": sizes.median(), "health/feature_size_least": sizes.min()}

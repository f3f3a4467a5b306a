"""A failing training is stopped with the problem and its batch; healthy trainings are not stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from systems import SYSTEMS, small_run
from torch import nn

from inpaintlab.checkpoints import checkpoint
from inpaintlab.config.compose import compose_config
from inpaintlab.errors import UserError
from inpaintlab.papers.msanet import MSANet
from inpaintlab.training.health import (
    DEAD_LOOKS,
    LEARNT_AFTER,
    PATIENCE,
    FeatureSizes,
    Health,
    LossNotFinite,
    Unhealthy,
)
from inpaintlab.training.module import InpaintingModule
from inpaintlab.training.run import run_training

Compose = Callable[..., DictConfig]
NORM, CRITIC = "health/gradient_norm_generator", "health/gradient_norm_discriminator"


def test_the_first_batch_and_term_that_are_no_number_are_named() -> None:
    health = Health()
    health.check()
    health.watch(3, {"l2": torch.tensor(1.0), "style": torch.tensor(2.0)})
    health.check()
    health.watch(4, {"l2": torch.tensor(1.0), "style": torch.tensor(float("inf"))})
    health.watch(5, {"l2": torch.tensor(float("nan")), "style": torch.tensor(float("nan"))})
    with pytest.raises(LossNotFinite, match="term `style` became NaN or infinite in batch 4"):
        health.check()
    assert health.counts()["health/not_finite"] == 1


def test_exploding_gradients_are_told_from_lively_ones() -> None:
    torch.manual_seed(0)
    health = Health()
    for batch, norm in enumerate(torch.randn(3 * LEARNT_AFTER).mul(2).exp()):  # from 0.01 to 100
        health.watch(batch, {NORM: norm})
    health.check()
    health.watch(500, {NORM: torch.tensor(1e6)})
    with pytest.raises(Unhealthy, match="gradient of the generator exploded in batch 500: norm 1e[+]06, usually"):
        health.check()
    start = Health()
    start.watch(0, {NORM: torch.tensor(1.0)})
    start.watch(1, {NORM: torch.tensor(1e6)})  # nothing is usual yet
    start.check()


@pytest.mark.parametrize(
    ("norm", "fake", "real", "collapsed"),
    [
        (0.0, -3.0, 3.0, True),  # it always wins: no gradient
        (0.1, 0.5, 0.5, True),  # it scores everything alike
        (0.1, 0.499, 0.5, False),
        (1e-4, -1.0, 1.0, False),
    ],
)
def test_a_collapsed_discriminator(norm: float, fake: float, real: float, collapsed: bool) -> None:
    figures = {CRITIC: norm, "train/score_fake": fake, "train/score_real": real}
    health = Health()
    for batch in range(PATIENCE):
        health.check()
        health.watch(batch, {name: torch.tensor(value) for name, value in figures.items()})
    if collapsed:
        with pytest.raises(
            Unhealthy, match=f"discriminator collapsed: for {PATIENCE} batches, up to batch {PATIENCE - 1}"
        ):
            health.check()
    else:
        health.check()


def test_dead_features_are_named_after_their_module() -> None:
    health = Health()
    for batch in range(DEAD_LOOKS):
        sizes = {"body.0": torch.tensor(0.3), "body.3": torch.tensor(1e-10)}
        health.watch(batch, {}, sizes)
    with pytest.raises(
        Unhealthy, match=f"features of `body.3` are dead: their size was 1e-10 in batch {DEAD_LOOKS - 1}"
    ):
        health.check()


def test_feature_sizes_are_the_root_mean_squares_of_what_modules_return() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Flatten()))
    picture = torch.rand(2, 3, 8, 8)
    with FeatureSizes(network, True) as features:
        network(picture)
        network(picture * 0)
    assert set(features.sizes) == {"0", "1.0"}
    torch.testing.assert_close(features.sizes["0"], network[0](picture).square().mean().sqrt().detach())
    assert not any(module._forward_hooks for module in network.modules())
    with FeatureSizes(network, False) as features:
        network(picture)
    assert features.summary() == {}


def test_continue_warns_once_per_problem_and_counts() -> None:
    told: list[str] = []
    health = Health("continue", told.append)
    for batch in (0, 1, 2, 5):
        health.watch(batch, {"l2": torch.tensor(math.nan if batch != 2 else 1.0)})
    health.check()
    assert [text[:40] for text in told] == ["the loss term `l2` became NaN or infinit"] * 2
    assert "batch 0" in told[0]
    assert "batch 5" in told[1]  # it had recovered in between
    assert health.counts() == {"health/not_finite": 3, "health/steps_left_out": 0, "health/problems": 2}
    with pytest.raises(UserError, match="trainer.health must be one of stop, continue"):
        Health("ignore")


def test_other_processes_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health()
    health.watch(7, {"l2": torch.tensor(1.0), "style": torch.tensor(1.0)})
    with pytest.raises(LossNotFinite, match="`style` became NaN or infinite in batch 7"):
        health.check(lambda mine: (mine + torch.tensor([1.0, math.nan])) / 2)


# ---------------------------------------------------------------------- whole runs
def poison(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    original = MSANet.generator_terms

    def poisoned(self: MSANet, *arguments: Any) -> dict[str, torch.Tensor]:
        terms = original(self, *arguments)
        if self.batches_done == batch:
            terms["style"] = terms["style"] * float("nan")
        return terms

    monkeypatch.setattr(MSANet, "generator_terms", poisoned)


def test_continue_leaves_the_broken_step_out(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, 1)
    folder = run_training(compose("trainer.health=continue"))
    content = checkpoint.read(folder / "checkpoints" / checkpoint.LAST)
    assert content["health"] == {"health/not_finite": 3, "health/steps_left_out": 1, "health/problems": 1}
    assert all(bool(torch.isfinite(value).all()) for value in content["state_dict"].values())
    log = (folder / "csv" / "version_0" / "metrics.csv").read_text()
    assert "health/not_finite" in log


@pytest.mark.parametrize("system", SYSTEMS)
def test_sound_trainings_are_not_stopped(tiny: list[str], system: str) -> None:
    folder = run_training(compose_config([*tiny, "batches=8", *small_run(system)]))
    last = checkpoint.read(folder / "checkpoints" / checkpoint.LAST)
    assert last["health"]["health/problems"] == 0


def test_a_network_that_dies_is_noticed(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """MSA-Net's known collapse: only the L2 term keeps its features from shrinking."""
    original = InpaintingModule.training_step

    def killed(self: Any, *arguments: Any) -> None:
        if self.batches_done == 3:
            with torch.no_grad():
                for parameter in self.generator.downs[0].parameters():
                    parameter.zero_()
        original(self, *arguments)

    monkeypatch.setattr(InpaintingModule, "training_step", killed)
    with pytest.raises(Unhealthy, match=r"features of `downs\.0.* are dead"):
        run_training(compose("batches=25", "model.optimizer_g.lr=0"))

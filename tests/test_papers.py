"""The training loop: exactly the right weights move, every term alone trains, bad weights and NaN are refused."""

from __future__ import annotations

from typing import Any, ClassVar

import lightning.pytorch as pl
import pytest
import torch
from hydra.utils import instantiate
from systems import SYSTEMS, small_run
from torch import Tensor, nn
from torch.utils.data import DataLoader

from inpaintlab.batch import Batch, Output
from inpaintlab.config.compose import compose_config
from inpaintlab.errors import UserError
from inpaintlab.losses.adversarial import Hinge
from inpaintlab.losses.reconstruction import distance
from inpaintlab.networks.generator import InpaintingGenerator
from inpaintlab.training.module import InpaintingModule
from inpaintlab.training.step import StepOptions


class TinyGenerator(InpaintingGenerator):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        return Output(self.conv(torch.cat([image * (1 - hole), hole], 1)))


class TinyGan(InpaintingModule):
    """The smallest system with a discriminator."""

    terms: ClassVar[tuple[str, ...]] = ("l2",)

    def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        return {"l2": distance(output.image, batch.image)}


class Relativistic(Hinge):
    relativistic = True

    @staticmethod
    def generator(fake: Any, real: Any = None) -> Tensor:
        return (fake[0].mean() - real[0].mean() - 1).square()


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


def gan(weights: dict[str, float] | None = None, **options: Any) -> TinyGan:
    torch.manual_seed(0)
    parts = {
        "discriminator": nn.Conv2d(3, 1, 4, stride=2),
        "adversarial": Hinge(),
        "optimizer_d": sgd,
        "loss_weights": weights or {"l2": 1.0, "adversarial": 0.1},
    }
    return TinyGan(generator=TinyGenerator(), optimizer_g=sgd, **(parts | options))


def batch() -> Batch:
    torch.manual_seed(3)
    hole = torch.zeros(2, 1, 16, 16)
    hole[..., 4:12, 4:12] = 1
    return Batch(torch.rand(2, 3, 16, 16), hole, ("a", "b"))


def train(module: InpaintingModule, batches: int = 1, data: Batch | None = None) -> InpaintingModule:
    loader = DataLoader([data or batch()] * batches, batch_size=None)  # type: ignore[arg-type]
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, loader)
    return module


def moved(module: InpaintingModule, before: dict[str, Tensor]) -> set[str]:
    return {name.split(".")[0] for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_both_networks_move_in_one_step() -> None:
    module = gan()
    before = snapshot(module)
    assert moved(train(module), before) == {"generator", "discriminator"}
    assert module.batches_done == 1
    losses = {"train/l2", "train/adversarial", "train/discriminator", "train/total"}
    scores = {"train/score_fake", "train/score_real"}
    norms = {"health/gradient_norm_generator", "health/gradient_norm_discriminator"}
    features = {"health/feature_size", "health/feature_size_least"}
    assert set(module.logged) == losses | scores | norms | features


def test_each_term_alone_moves_the_generator() -> None:
    for weights in ({"l2": 1.0, "adversarial": 0.0}, {"l2": 0.0, "adversarial": 1.0}):
        module = gan(weights)
        before = snapshot(module)
        train(module)
        assert "generator" in moved(module, before), weights


def test_adversarial_weight_zero_skips_the_discriminator() -> None:
    module = gan({"l2": 1.0, "adversarial": 0.0})
    before = snapshot(module)
    assert moved(train(module), before) == {"generator"}
    assert "train/discriminator" not in module.logged


def test_discriminator_step_is_the_hinge_loss_on_detached_composites() -> None:
    module = gan(generator_every=2)  # no generator step in the first batch
    reference = gan()
    data = batch()
    with torch.no_grad():
        fake = torch.where(data.hole > 0, reference.generator(data.image, data.hole).image, data.image)
    loss = Hinge().discriminator([reference.discriminator(fake)], [reference.discriminator(data.image)])
    loss.backward()
    expected = {n: p.detach() - 0.1 * p.grad for n, p in reference.discriminator.named_parameters()}
    before = snapshot(module)
    assert moved(train(module), before) == {"discriminator"}
    for name, value in module.discriminator.named_parameters():
        torch.testing.assert_close(value, expected[name])


def steps(module: TinyGan, batches: int) -> str:
    """Which networks step in a training, d and g."""
    taken: list[str] = []
    take = module._step

    def noted(name: str, *rest: Any) -> Tensor:
        taken.append(name[0])
        return take(name, *rest)

    module._step = noted  # type: ignore[method-assign]
    train(module, batches)
    return "".join(taken)


def test_generator_steps_every_second_batch_only() -> None:
    assert steps(gan(generator_every=2), 4) == "ddgddg"


def test_taking_turns_the_discriminator_rests_in_batches_of_the_generator() -> None:
    module = gan(generator_every=3, take_turns=True)
    assert steps(module, 6) == "ddgddg"
    assert {"train/l2", "train/adversarial", "train/total"} <= set(module.logged)
    with pytest.raises(ValueError, match="take_turns needs generator_every of at least 2"):
        gan(take_turns=True)


def test_generator_step_leaves_no_gradient_on_the_discriminator() -> None:
    module = gan(generator_every=1)
    train(module)
    before = {n: p.grad.clone() for n, p in module.discriminator.named_parameters() if p.grad is not None}
    output = module(batch().image, batch().hole)
    from inpaintlab.training.step import frozen

    with frozen(module.discriminator):
        module.judge(module.composite(batch(), output), batch())[0].mean().backward()
    assert module.generator.conv.weight.grad is not None
    for name, parameter in module.discriminator.named_parameters():
        assert parameter.requires_grad
        torch.testing.assert_close(parameter.grad, before[name])


@pytest.mark.parametrize("loss", [Hinge, Relativistic])
def test_parts_of_a_batch_add_up_to_the_step_of_the_whole_one(loss: Any) -> None:
    """Losses that are means over pictures; a relativistic one compares the means of each part."""
    whole, parts = gan(adversarial=loss()).double(), gan(adversarial=loss()).double()
    parts.set_step_options(StepOptions(accumulate=2))
    image, hole = batch().image.double(), batch().hole.double()
    if loss is Relativistic:
        image, hole = (torch.cat([t[:1]] * 2) for t in (image, hole))
    data = Batch(image, hole, ("a", "b"))
    for module in (whole, parts):
        train(module, 3, data)
    for (name, one), two in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-12, msg=name)
    for name in whole.logged.keys() - {"health/feature_size", "health/feature_size_least"}:  # the largest of the parts
        assert parts.logged[name] == pytest.approx(whole.logged[name], rel=1e-6), name


def test_parts_must_divide_the_batch() -> None:
    module = gan()
    module.set_step_options(StepOptions(accumulate=3))
    with pytest.raises(UserError, match="trainer.accumulate=3 must divide the 2 pictures"):
        train(module)


def test_clipping_bounds_the_step_of_each_network() -> None:
    lengths = {}
    data = Batch(batch().image.double(), batch().hole.double(), ("a", "b"))
    for clip in (None, 1e-3):
        module = gan().double()
        module.set_step_options(StepOptions(clip_norm=clip))
        before = snapshot(module)
        train(module, data=data)
        for network in ("generator", "discriminator"):
            moves = [v - before[k] for k, v in module.state_dict().items() if k.startswith(network)]
            lengths[network, clip] = torch.cat([m.flatten() for m in moves]).norm().item() / 0.1  # the learning rate
            norm = module.logged[f"health/gradient_norm_{network}"]
            assert lengths[network, clip] == pytest.approx(norm if clip is None else clip, rel=1e-5)
            assert norm > 0.1  # logged as it was before clipping


def test_relativistic_losses_get_the_real_scores() -> None:
    module = gan(adversarial=Relativistic())
    train(module)
    assert module.logged["train/adversarial"] > 0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"l2": 1.0}, "without a weight: adversarial"),
        ({"l2": 1.0, "adversarial": 1.0, "style": 2.0}, "The terms are l2, adversarial; without a term: style"),
        ({"l2": 0.0, "adversarial": 0.0}, "all loss weights are 0"),
    ],
)
def test_loss_weights_and_terms_must_match(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gan(weights)


def test_half_a_gan_is_refused() -> None:
    with pytest.raises(ValueError, match="missing: optimizer_d"):
        gan(optimizer_d=None)


def test_randomness_of_a_step_depends_on_seed_and_batch_only() -> None:
    seen: list[float] = []

    class Noisy(TinyGan):
        def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
            seen.append(torch.rand(()).item())
            return super().generator_terms(batch, output)

    for seed, start in ((0, 0), (0, 0), (0, 2), (1, 0)):
        module = Noisy(generator=TinyGenerator(), optimizer_g=sgd, loss_weights={"l2": 1.0}, seed=seed)
        module.batches_done = start
        torch.rand(17)
        train(module, 4 - start)
    assert seen[0:4] == seen[4:8]
    assert seen[8:10] == seen[2:4]
    assert not set(seen[10:]) & set(seen[:4])


# ---------------------------------------------------------------------- all systems
@pytest.mark.parametrize("system", SYSTEMS)
def test_each_term_of_a_system_alone_has_a_gradient(tiny: list[str], system: str) -> None:
    config = compose_config([*tiny, *small_run(system)])
    torch.manual_seed(0)
    module = instantiate(config.model, _convert_="all")
    size = config.data.geometry.size
    hole = torch.zeros(2, 1, size, size)
    hole[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    data = Batch(torch.rand(2, 3, size, size), hole, ("a", "b"))
    terms = module.generator_terms(data, module(data.image, data.hole))
    weighted = {name for name, weight in module.loss_weights.items() if weight} - {"adversarial"}
    assert weighted <= set(terms) <= set(module.terms)
    weights = list(module.generator.parameters())
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
        sizes = [gradient.abs().max() for gradient in gradients if gradient is not None]
        assert torch.isfinite(term), name
        assert max(sizes) > 0, name


# ---------------------------------------------------------------------- checkpoints and precision
def test_weights_that_are_not_finite_are_never_saved() -> None:
    module = gan()
    with torch.no_grad():
        module.generator.conv.bias[0] = float("nan")
    with pytest.raises(FloatingPointError, match="generator.conv.bias"):
        module.on_save_checkpoint({})


def test_backward_passes_run_outside_autocast() -> None:
    """Else the derivatives of what is kept in float32 would be taken in bfloat16."""
    seen: list[bool] = []

    class Probe(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            assert torch.is_autocast_enabled("cpu")
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            seen.append(torch.is_autocast_enabled("cpu"))
            return gradients[0]

    class Probed(TinyGan):
        def generator_terms(self, batch: Batch, output: Output) -> dict[str, Tensor]:
            return {"l2": distance(Probe.apply(output.image), batch.image)}

    module = Probed(generator=TinyGenerator(), optimizer_g=sgd, loss_weights={"l2": 1.0})
    loader = DataLoader([batch()], batch_size=None)  # type: ignore[arg-type]
    pl.Trainer(
        max_epochs=1, accelerator="cpu", precision="bf16-mixed", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(module, loader)  # fmt: skip
    assert seen == [False]

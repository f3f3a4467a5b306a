"""What every network must do; a new file in `networks/` with a `Generator` is found and tested."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
import torch
import torch.nn.functional as F

import inpaintlab.networks
from inpaintlab.checkpoints.authors import systems_with_released_weights
from inpaintlab.errors import UserError
from inpaintlab.image import inpaint
from inpaintlab.networks.authors_weights import AuthorsWeights
from inpaintlab.networks.generator import InpaintingGenerator

SYSTEMS = [
    name
    for _, name, _ in pkgutil.iter_modules(inpaintlab.networks.__path__)
    if hasattr(importlib.import_module(f"inpaintlab.networks.{name}"), "Generator")
]


def build_of(system: str) -> type[InpaintingGenerator]:
    found: type[InpaintingGenerator] = importlib.import_module(f"inpaintlab.networks.{system}").Generator
    return found


def small(system: str, **chosen: str) -> InpaintingGenerator:
    torch.manual_seed(0)
    build, options = build_of(system), {"width": 0.25, "levels": 5}
    known = inspect.signature(build).parameters
    return build(**{name: value for name, value in options.items() if name in known}, **chosen)


def pictures(multiple: int, height: int = 4, width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    size = (max(64, height * multiple), max(96, width * multiple))
    torch.manual_seed(1)
    image, hole = torch.rand(2, 3, *size), torch.zeros(2, 1, *size)
    hole[0, :, 10:40, 20:60] = 1
    hole[1, :, 30:50, :30] = 1
    return image, hole


@pytest.mark.parametrize("system", SYSTEMS)
def test_gradient_reaches_every_weight_and_all_is_finite(system: str) -> None:
    network = small(system)
    image, hole = pictures(network.multiple)
    output = network(image, hole)
    assert output.image.shape == image.shape
    pictures_made = [output.image] if output.coarse is None else [output.image, output.coarse]
    torch.stack([x.square().mean() for x in (*pictures_made, *output.features)]).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


@pytest.mark.parametrize("system", SYSTEMS)
def test_hole_content_never_changes_the_output(system: str) -> None:
    network = small(system).eval()
    image, hole = pictures(network.multiple)
    with torch.no_grad():
        expected = network(image, hole).image
        for value in (0.0, 1.0, 1e6, float("nan")):
            torch.testing.assert_close(
                network(torch.where(hole > 0, value, image), hole).image, expected, rtol=0, atol=0
            )


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_known_pixels_and_the_hole_matter(system: str) -> None:
    network = small(system).eval()
    image, hole = pictures(network.multiple)
    with torch.no_grad():
        base = network(image, hole).image
        assert not torch.equal(network(image.flip(-1), hole).image, base)
        assert not torch.equal(network(image, torch.zeros_like(hole)).image, base)


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_sample_has_its_own_hole(system: str) -> None:
    network = small(system).eval()
    image, hole = pictures(network.multiple)
    with torch.no_grad():
        together = network(image, hole).image
        alone = torch.cat([network(image[i : i + 1], hole[i : i + 1]).image for i in range(2)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_hole_and_all_hole_are_finite(system: str, value: float) -> None:
    network = small(system).eval()
    image, hole = pictures(network.multiple)
    with torch.no_grad():
        assert torch.isfinite(network(image, torch.full_like(hole, value)).image).all()


# ---------------------------------------------------------------------- cross-breeding
def that_take(option: str, value: str) -> list[str]:
    """The systems whose generator has this option and accepts this value for it."""
    found = []
    for system in SYSTEMS:
        if option in inspect.signature(build_of(system)).parameters:
            try:
                small(system, **{option: value})
            except UserError:
                continue
            found.append(system)
    return found


@pytest.mark.parametrize("mask_update", ["max_pool", "resized", "partial", "learnable"])
@pytest.mark.parametrize("system", that_take("mask_update", "learnable"))
def test_any_mask_update_fits_a_network_that_takes_one(system: str, mask_update: str) -> None:
    torch.manual_seed(0)
    build = build_of(system)
    own, bred = build(width=0.25), build(width=0.25, mask_update=mask_update)
    bred.load_state_dict(own.state_dict(), strict=False)
    image, hole = pictures(own.multiple, 1, 1)
    image, hole = (F.interpolate(x, (128, 128)) for x in (image, hole))
    output = bred(image, hole).image
    same = mask_update == inspect.signature(build).parameters["mask_update"].default
    assert torch.equal(output, own(image, hole).image) == same
    output.square().mean().backward()
    learned = [p for name, p in bred.named_parameters() if "mask" in name and "reverse" not in name]
    assert bool(learned) == (mask_update == "learnable")
    assert all(p.grad is not None for p in learned if p.dim() == 4)


@pytest.mark.parametrize("attention", ["contextual", "csa", "none"])
@pytest.mark.parametrize("system", that_take("attention", "csa"))
def test_any_patch_attention_takes_the_place_of_any_other(system: str, attention: str) -> None:
    outputs, image, hole = [], torch.rand(2, 3, 64, 96), torch.zeros(2, 1, 64, 96)
    hole[0, :, 10:50, 20:70], hole[1, :, 30:60, :40] = 1, 1
    for chosen in (attention, "none"):
        torch.manual_seed(0)
        network = small(system, attention=chosen)
        network.keep_attention = True
        output = network.eval()(image, hole)
        assert ("flow" in output.attention) == (chosen != "none")
        outputs.append(output.image)
    assert torch.equal(*outputs) == (attention == "none")


# ---------------------------------------------------------------------- the contract
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_generator_keeps_the_contract(system: str) -> None:
    network = small(system).eval()
    assert isinstance(network, InpaintingGenerator)
    image, hole = pictures(network.multiple)
    assert not network.keep_attention
    with torch.no_grad():
        assert network(image, hole).attention == {}
        network.keep_attention, network.points = True, [(0.3, 0.3), (0.6, 0.2)]
        maps = network(image, hole).attention
    assert bool(maps) == network.shows_attention
    assert ("heat" in maps) == network.shows_points
    if network.shows_points:
        assert maps["heat"].shape[:2] == (2, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.constrain()  # untrained weights are within their range
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    if network.multiple > 1:
        with pytest.raises(ValueError, match=f"{system}: .* must be multiples of {network.multiple}, got "):
            network(image[..., 1:], hole[..., 1:])
    image, hole = image[:1, :, :-3, :-5], hole[:1, :, :-3, :-5]
    assert torch.equal(inpaint(network, image, hole) == image, (hole == 0).expand_as(image))


@pytest.mark.parametrize("system", systems_with_released_weights())
def test_every_entry_has_a_name_in_the_authors_weights(system: str) -> None:
    network = small(system)
    assert isinstance(network, AuthorsWeights)
    called = network.map_authors_weights({}).called
    names = [called(name) for name in network.state_dict()]
    assert len(set(names)) == len(names)

"""DeepFill v1's generator equals the authors' TensorFlow code and the PyTorch port in all recorded cases.

Tolerance: 3e-4 of the largest absolute value of a layer (near ties in the attention amplify differences).
"""

from __future__ import annotations

import pytest
import torch
from reference.recorded import Case, case
from torch import Tensor

from inpaintlab.checkpoints.authors import from_released
from inpaintlab.networks.coarse_to_fine import CoarseToFine

MAPS = 3e-4
LAYERS = {
    "pre_clip_1": "coarse.decoder",
    "pre_clip_2": "refinement.decoder",
    "coarse_conv4": "coarse.encoder.conv4",
    "coarse_conv10": "coarse.encoder.conv10",
    "fine_conv10": "refinement.convolution.conv10",
    "fine_pmconv6": "refinement.matching.conv6",
    "fine_attention": "refinement.attention",
    "fine_pmconv10": "refinement.after.conv10",
    "fine_allconv12": "refinement.decoder.conv12",
}


def check(c: Case, name: str, actual: Tensor) -> None:
    """Compare with a recorded layer, of which the case may keep every n-th row and column."""
    step = actual.shape[-1] // c.outputs[name].shape[-1]
    c.check_peak(name, actual[..., ::step, ::step], MAPS)


def pictures(c: Case) -> tuple[Tensor, Tensor]:
    image = (c.inputs["image"] + 1) / 2
    return image, c.inputs["mask"].expand(len(image), -1, -1, -1)


def generator(c: Case) -> CoarseToFine:
    """Return the generator of a case. All cases use the port's names; TensorFlow's need `follows="authors"`."""
    network = from_released("deepfill_v1", c.weights, follows=c.follows).to(c.dtype)
    assert isinstance(network, CoarseToFine)
    return network


@pytest.mark.parametrize("size", ["w8_64", "w8_rect", "w32_256"])
@pytest.mark.parametrize("reference", ["tf", "port"])
def test_generator(reference: str, size: str) -> None:
    c = case(f"deepfillv1/gen_{reference}_{size}")
    network = generator(c)
    seen: dict[str, Tensor] = {}
    network.keep_attention = True
    for name, path in LAYERS.items():
        network.get_submodule(path).register_forward_hook(lambda _m, _i, y, name=name: seen.update({name: y}))
    with torch.no_grad():
        output = network(*pictures(c))
    for name, actual in seen.items():
        check(c, name, actual)
    assert output.coarse is not None
    check(c, "x_stage1", 2 * output.coarse - 1)
    check(c, "x_stage2", 2 * output.image - 1)
    assert torch.equal(output.attention["flow"].int(), c.outputs["offsets"])


@pytest.mark.parametrize("reference", ["tf", "port"])
def test_generator_in_float32(reference: str) -> None:
    c = case(f"deepfillv1/gen_{reference}_w8_64", torch.float32)
    with torch.no_grad():
        check(c, "x_stage2", 2 * generator(c)(*pictures(c)).image - 1)


@pytest.mark.parametrize(
    ("name", "follows"), [("gen_tf_w8_rect", "port"), ("gen_port_w8_rect", "authors"), ("gen_tf_w32_256", "mmagic")]
)
def test_weights_of_one_code_give_another_picture_in_another(name: str, follows: str) -> None:
    c = case(f"deepfillv1/{name}", torch.float32)
    with torch.no_grad():
        image = from_released("deepfill_v1", c.weights, follows=follows)(*pictures(c)).image
    with pytest.raises(AssertionError, match="x_stage2"):
        check(c, "x_stage2", 2 * image - 1)

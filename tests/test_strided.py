"""What is computed in another way where no gradient is wanted has the values of the usual way."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inpaintlab.layers import fast_strided_conv
from inpaintlab.layers.mask_activation import PIECE, GaussianAttention, PowerUpdate


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize(("n", "height", "width"), [(1, 8, 8), (3, 4, 12), (2, 64, 64)])
def test_convolution(kernel: int, n: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(n, 6, height, width).double(), torch.randn(5, 6, kernel, kernel).double()
    expected = F.conv2d(x, weight, None, 2, 1)
    with torch.no_grad():
        torch.testing.assert_close(fast_strided_conv.conv2d(x, weight), expected, rtol=1e-10, atol=1e-12)
        module = fast_strided_conv.Conv(6, 5).double()
        torch.testing.assert_close(module(x), module._conv_forward(x, module.weight, None), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n", "inputs", "height", "width"), [(1, 40, 2, 4), (3, 40, 3, 2), (2, 6, 16, 16)])
def test_transposed_convolution(n: int, inputs: int, height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, module = torch.randn(n, inputs, height, width).double(), fast_strided_conv.ConvTranspose(inputs, 5).double()
    expected = F.conv_transpose2d(x, module.weight, None, 2, 1)
    assert torch.equal(module(x), expected)  # with gradients it is the framework's
    with torch.no_grad():
        torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-12)
        monkeypatch.setattr(fast_strided_conv, "UNFOLDED", 0)
        assert torch.equal(module(x), expected)


def test_mixed_precision_keeps_the_frameworks_kernels() -> None:
    x, module = torch.randn(1, 6, 8, 8), fast_strided_conv.Conv(6, 5)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert module(x).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(), (7,), (1, 8, 128, 130), (2, 3, 1, PIECE)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("module", [GaussianAttention(1.3, 0.9, 0.6, 1.7), PowerUpdate()])
def test_activations(shape: tuple[int, ...], layout: torch.memory_format, module: nn.Module) -> None:
    torch.manual_seed(0)
    x = 2 * torch.randn(shape)
    x = torch.where(torch.rand(shape) < 0.2, 0.0, x)
    if x.dim() == 4:
        x = x.contiguous(memory_format=layout)
    before, expected = x.clone(), copy.deepcopy(module).double()(x.double()).float()
    with torch.no_grad():
        result = module(x)
    assert result.shape == x.shape
    torch.testing.assert_close(result, expected, rtol=2e-6, atol=1e-6)
    assert torch.equal(x, before)
    if isinstance(module, PowerUpdate):
        assert ((result == 0) == (x <= 0)).all()
        tiny = torch.tensor([1e-38, 1e-31, 1e-20])
        with torch.no_grad():
            assert module(tiny).tolist() == pytest.approx([0, 0, 1e-16], abs=1e-20)

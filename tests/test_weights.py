"""Files of pretrained networks: found, checked, missing with instructions, never replaced silently."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from omegaconf import DictConfig

from inpaintlab.checkpoints import pretrained_files
from inpaintlab.commands import weights as weights_command
from inpaintlab.config.run_folder import run_folder
from inpaintlab.errors import UserError
from inpaintlab.networks.extractors.vgg import Vgg16, _convolutions, _untrained
from inpaintlab.training.run import run_training


def write_vgg(path: Path) -> Path:
    """A file in torchvision's layout."""
    state = _untrained(_convolutions())
    state["features.0.weight"] += 0.5
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pretrained_files.FOLDER, str(tmp_path / "own"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_missing_file_says_what_to_download_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"vgg16-397923af\.pth .*torchvision.*own or .*checkpoints, or set weights\.vgg16=FILE"
    ):
        pretrained_files.find("vgg16")
    with pytest.raises(FileNotFoundError, match="weights.vgg16=/nowhere: there is no such file"):
        pretrained_files.find("vgg16", "/nowhere")


def test_a_local_path_always_works_and_its_weights_are_used(tmp_path: Path) -> None:
    path = write_vgg(tmp_path / "mine.pth")
    network = pretrained_files.vgg16(str(path), ["pool1"], normalise=False)
    assert not network.untrained
    random = pretrained_files.vgg16("random", ["pool1"], normalise=False)
    assert random.untrained
    torch.testing.assert_close(network.relu1_1_weight, random.relu1_1_weight + 0.5)
    (tmp_path / "torn.pth").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be read as weights"):
        pretrained_files.vgg16(str(tmp_path / "torn.pth"), ["pool1"], normalise=False)


@pytest.mark.parametrize("place", ["own", "torch/hub/checkpoints"])
def test_files_are_found_by_name_and_checked_by_hash(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_vgg(tmp_path / place / "vgg16-397923af.pth")
    with pytest.raises(UserError, match="does not match its name"):
        pretrained_files.find("vgg16")
    begin = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    entry = pretrained_files.FILES["vgg16"]
    monkeypatch.setitem(
        pretrained_files.FILES, "vgg16", pretrained_files.File(entry.name, begin, entry.what, entry.used_for)
    )
    assert pretrained_files.find("vgg16") == path
    assert f"found: {path}" in weights_command.status()
    assert isinstance(pretrained_files.vgg16(None, ["pool1"], normalise=True), Vgg16)


# ---------------------------------------------------------------------- Inception
def test_inception_equals_torch_fidelitys_own(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    untrained = pretrained_files.inception("random")
    assert untrained.untrained
    state = {name: value.clone() for name, value in untrained.network.state_dict().items()}
    state["Conv2d_1a_3x3.bn.bias"] += 0.5
    path = tmp_path / "mine.pth"
    torch.save(state, path)
    network = pretrained_files.inception(str(path))
    assert not network.untrained
    assert network.origin.startswith("mine.pth, SHA-256 ")
    pictures = torch.randint(0, 256, (1, 3, 40, 56), dtype=torch.uint8)
    (expected,) = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=path)(pictures)
    assert torch.equal(network(pictures), expected)
    assert expected.shape == (1, 2048)
    assert (network(pictures) - untrained(pictures)).abs().max() > 0.01
    assert torch.equal(untrained(pictures), pretrained_files.inception("random")(pictures))
    assert not any(weight.requires_grad for weight in network.parameters())

    torch.save({"fc.bias": state["fc.bias"]}, path)
    with pytest.raises(UserError, match=r"not torch-fidelity's weights of Inception v3; .* are missing: "):
        pretrained_files.inception(str(path))


def test_inception_of_torchvision_sees_what_edgeconnects_script_shows_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.inception_v3(weights=None, init_weights=False).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    path = tmp_path / "mine.pth"
    torch.save(network.state_dict(), path)
    pictures = torch.randint(0, 256, (2, 3, 40, 56), dtype=torch.uint8)
    seen: list[torch.Tensor] = []
    network.avgpool.register_forward_hook(lambda module, given, found: seen.append(found.flatten(1)))
    shown = torch.nn.functional.interpolate(pictures / 255, (299, 299), mode="bilinear", align_corners=False)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        network((shown * deviation.view(3, 1, 1) + mean.view(3, 1, 1) - 0.5) / 0.5)
    ours = pretrained_files.inception_torchvision(str(path))
    assert ours.origin.startswith("mine.pth, SHA-256 ")
    torch.testing.assert_close(ours(pictures), seen[0], rtol=1e-4, atol=1e-5 * float(seen[0].abs().max()))
    assert seen[0].shape == (2, 2048)
    assert seen[0].std() > 0
    assert not any(weight.requires_grad for weight in ours.parameters())
    untrained = pretrained_files.inception_torchvision("random")
    assert untrained.origin == "untrained (random weights)"
    assert torch.equal(untrained(pictures), pretrained_files.inception_torchvision("random")(pictures))
    torch.save({"fc.bias": torch.zeros(1000)}, path)
    with pytest.raises(UserError, match=r"not torchvision's weights of Inception v3; .* are missing: "):
        pretrained_files.inception_torchvision(str(path))


def test_missing_inception_is_one_sentence(tmp_path: Path) -> None:
    sentence = pretrained_files.missing("inception", None)
    assert (
        "weights-inception-2015-12-05-6726825d.pth (torch-fidelity's Inception v3 (2015)), needed for FID" in sentence
    )
    assert "With weights.inception=random an untrained network is used, and the results say so" in sentence
    assert pretrained_files.missing("inception", "/nowhere") == "weights.inception=/nowhere: there is no such file"
    assert pretrained_files.missing("inception", "random") == ""
    (tmp_path / "here").touch()
    assert pretrained_files.missing("inception", str(tmp_path / "here")) == ""


def test_status_lists_every_file() -> None:
    result = subprocess.run([sys.executable, "-m", "inpaintlab", "weights", "status"], capture_output=True, text=True)
    assert result.returncode == 0
    for file in pretrained_files.FILES.values():
        assert file.name in result.stdout
    assert result.stdout.count("missing") == len(pretrained_files.FILES)


def test_training_without_the_file_stops_before_any_batch(compose: Callable[..., DictConfig]) -> None:
    config = compose("data.geometry.size=128", "weights.vgg16=/nowhere.pth", experiment="pconv_places2")
    config.model.vgg = {
        "_target_": "inpaintlab.checkpoints.pretrained_files.vgg16",
        "source": "/nowhere.pth",
        "layers": ["pool1"],
        "normalise": True,
    }
    with pytest.raises(Exception, match="there is no such file") as caught:
        run_training(config)
    from inpaintlab.utils.process import explain

    assert "weights.vgg16=/nowhere.pth" in str(explain(caught.value))
    assert not (run_folder(config) / "run.json").exists()


def test_random_weights_are_recorded(compose: Callable[..., DictConfig]) -> None:
    import json

    config = compose("data.geometry.size=128", "model.generator.width=0.125", "batches=1", experiment="pconv_places2")
    config.model.vgg = {
        "_target_": "inpaintlab.checkpoints.pretrained_files.vgg16",
        "source": "random",
        "layers": ["pool1"],
        "normalise": True,
    }
    config.model.loss_weights.style = 1.0
    folder = run_training(config)
    assert json.loads((folder / "run.json").read_text())["remarks"] == [
        "trained with an untrained VGG-16 (random weights)",
        "networks 0.125 times as wide as the paper's",
    ]

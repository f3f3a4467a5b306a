"""Every config composes and instantiates, options equal the constructors' defaults, typos get the right name."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from inpaintlab.config.compose import compose_config, group_options
from inpaintlab.config.plain import to_plain
from inpaintlab.config.run_folder import evaluation_key, run_folder
from inpaintlab.errors import UserError
from inpaintlab.utils import paths

ROOTLESS = {
    *("photos", "irregular", "irregular_10_50", "irregular_and_square", "center", "center_120", "square"),
    *("quick_draw", "deepfill_box", "strokes_and_box"),
    *group_options("trainer"),
    *group_options("logger"),
}
EXPERIMENTS = group_options("experiment")


@pytest.mark.parametrize("scale", group_options("scale"))
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_instantiates(experiment: str, scale: str) -> None:
    config = compose_config(
        [
            f"experiment={experiment}",
            f"scale={scale}",
            "+data.root=/nowhere" if scale == "demo" else "data.root=/nowhere",
            "weights.vgg16=random",
            "init_from=/nowhere",  # some experiments require one
        ]
    )
    assert config.name == experiment
    module = instantiate(config.model, _convert_="all")
    assert set(module.loss_weights) >= set(module.terms)
    data = instantiate(config.data, _convert_="all")
    assert (data.batches is None) != (data.epochs is None)
    assert run_folder(config).parts[:2] == ("runs", experiment)


@pytest.mark.parametrize("model", group_options("model"))
def test_listed_generator_options_are_the_constructors_defaults(model: str) -> None:
    config = OmegaConf.create({"model": OmegaConf.load(paths.conf() / "model" / f"{model}.yaml")})
    listed = OmegaConf.to_container(config.model.generator, resolve=True)
    assert isinstance(listed, dict)
    module, _, name = listed.pop("_target_").rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), name))
    defaults = {
        k: list(p.default) if isinstance(p.default, tuple) else p.default for k, p in signature.parameters.items()
    }
    assert listed == defaults


def test_one_option_says_whose_code_a_whole_system_follows() -> None:
    def followed(*overrides: str) -> list[str]:
        model = to_plain(compose_config([*overrides, "+data.root=/nowhere"]))["model"]
        return [part["follows"] for part in (model, *model.values()) if isinstance(part, dict) and "follows" in part]

    port = ["experiment=deepfill_v1_places2", "scale=demo", "model.follows=port"]
    assert followed(*port) == ["port", "port", "port"]
    assert followed(*port, "model.generator.follows=mmagic") == ["port", "mmagic", "port"]
    assert followed("experiment=lbam_paris_released", "scale=demo") == ["authors", "authors"]
    assert followed("experiment=csa_celeba_center_released", "scale=demo") == ["authors", "authors"]


@pytest.mark.parametrize("group", ["masks", "trainer", "logger", "data"])
def test_every_option_of_every_group_composes(group: str) -> None:
    for option in group_options(group):
        root = [f"{group}.root=/nowhere"] if option not in ROOTLESS else []
        root += {"nvidia": ["masks.train_root=/nowhere"], "qd_imd": ["masks.polarity=white_hole"]}.get(option, [])
        compose_config([f"{group}={option}", *root, "batches=1"])  # "recipe" is chosen by scale and model


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["experiment=msanet_place2"],
            "experiment must be one .*; got 'msanet_place2'; did you mean msanet_places2",
        ),
        (["masks=irregulr"], "masks must be one of .*; got 'irregulr'; did you mean irregular"),
        (
            ["model.generator.mask_updat=null"],
            r"no key model\.generator\.mask_updat; did you mean model\.generator\.mask_update",
        ),
        (["trainer.device=2"], r"no key trainer\.device; did you mean trainer\.devices"),
        (["sed=1"], "no key sed; did you mean seed"),
        (["data.batch_size"], "data.batch_size"),
    ],
)
def test_typos_on_the_command_line_get_the_right_name(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose_config(overrides)


def test_typos_in_an_experiment_file_get_the_right_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shutil.copytree(paths.conf(), tmp_path / "conf")
    monkeypatch.setattr(paths, "conf", lambda: tmp_path / "conf")
    bad = tmp_path / "conf" / "experiment" / "bad.yaml"
    bad.write_text("# @package _global_\ndefaults: [msanet_places2, _self_]\nmodel: {generator: {mask_updat: null}}\n")
    with pytest.raises(
        UserError, match=r"bad\.yaml sets model\.generator\.mask_updat, which does not exist; did you mean"
    ):
        compose_config(["experiment=bad", "data=photos"])
    bad.write_text("# @package _global_\ndefaults: [msanet_places2, _self_]\nmodell: {seed: 1}\n")
    with pytest.raises(UserError, match=r"bad\.yaml sets modell, which does not exist; did you mean model\?"):
        compose_config(["experiment=bad", "data=photos"])


def test_an_added_key_is_the_users_own_wish() -> None:
    assert (
        compose_config(["experiment=msanet_places2", "data=photos", "+model.generator.extra=1"]).model.generator.extra
        == 1
    )


def test_run_folder_follows_what_changes_the_training_only() -> None:
    base = ["experiment=msanet_places2_mum", "scale=demo"]

    def folder(*more: str) -> Path:
        return run_folder(compose_config([*base, *more]))

    for same in (
        "trainer.precision=32",
        "logger=wandb",
        "masks=irregular_and_square",
        "data.workers=3",
        "evaluation.keep=2",
        "evaluation.fid=true",
        "weights.inception=random",
        "evaluation.lpips=true",
        "weights.alexnet=random",
        "evaluation.fid_torchvision=true",
        "evaluation.seconds=true",
        "weights.inception_torchvision=random",
    ):
        assert folder(same) == folder(), same
    for other in (
        "batches=9",
        "model.generator.n_msau=3",
        "masks=square",
        "data.geometry.size=64",
        "model.loss_weights.style=1",
    ):
        assert folder(other) != folder(), other
    assert folder("seed=3").parent == folder().parent
    assert folder("seed=3").name == "seed3"
    assert folder("output=elsewhere").parts[0] == "elsewhere"


def test_evaluation_key_follows_pairs_and_protocol_only() -> None:
    def key(*more: str) -> str:
        return evaluation_key(to_plain(compose_config(["scale=demo", *more])))

    assert key() == key("model.generator.width=0.5") == key("seed=4") == key("evaluation.batch_size=1")
    assert key() == key("weights.inception=random")
    assert key() != key("evaluation.fid=true") != key("evaluation.fid=true", "weights.inception=random")
    assert key() != key("evaluation.lpips=true") != key("evaluation.lpips=true", "weights.alexnet=random")
    assert key() != key("evaluation.protocol=[standard,rn]")
    assert key() != key("evaluation.seconds=true")
    assert key() != key("masks=center")
    assert key() != key("data.pairs_seed=1")
    assert key() != key("data.geometry.size=64")


@pytest.mark.slow
def test_hydra_multirun_trains_one_folder_per_job(tiny: list[str], tmp_path: Path) -> None:
    tiny = [o for o in tiny if not o.startswith(("output", "batches"))]
    command = [
        sys.executable,
        "-m",
        "inpaintlab",
        "train",
        "-m",
        "experiment=glob(msanet_places2_m*)",
        "seed=0,1",
        *tiny,
        "batches=1",
    ]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    runs = sorted(path.relative_to(tmp_path / "runs") for path in (tmp_path / "runs").glob("*/*/seed*"))
    assert [(path.parts[0], path.parts[2]) for path in runs] == [
        (name, seed) for name in ("msanet_places2_msag", "msanet_places2_mum") for seed in ("seed0", "seed1")
    ]
    assert all((tmp_path / "runs" / run / "run.json").exists() for run in runs)

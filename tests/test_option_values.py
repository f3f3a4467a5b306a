"""Wrong values of options give a sentence before anything starts, and valid values are accepted."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from inpaintlab.config import option_values
from inpaintlab.config.command_line import check_command_line
from inpaintlab.config.compose import compose_config
from inpaintlab.errors import UserError

COUNT = "a whole number of at least 1"
OFTEN = "a whole number of at least 0"
WRONG = [
    *((f"batches={value}", f"{COUNT}, or null") for value in ("2.5", "abc", "0", "-3", "true", "[1]")),
    *((f"epochs={value}", "a number above 0, or null") for value in ("0", "-1", "x", "nan", "inf")),
    *((f"seed={value}", "a whole number from 0 to 4294967295") for value in ("abc", "-1", "4294967296", "null", "1.5")),
    *((f"data.batch_size={value}", COUNT) for value in ("0", "two", "null", "1.5")),
    *((f"data.workers={value}", f"{OFTEN}, or null") for value in ("-1", "x", "true")),
    *((f"data.geometry.size={value}", COUNT) for value in ("0", "x", "64.5")),
    ("data.geometry.flip=2", "a number from 0 to 1"),
    ("data.pairs_seed=-1", OFTEN),
    *((f"evaluation.batch_size={value}", COUNT) for value in ("0", "x")),
    *((f"evaluation.keep={value}", OFTEN) for value in ("-1", "x")),
    ("evaluation.fid=maybe", "true or false"),
    ("evaluate=later", "true or false"),
    *((f"trainer.accumulate={value}", COUNT) for value in ("0", "x", "1.5")),
    *((f"trainer.clip_norm={value}", "a number of at least 0, or null") for value in ("x", "-1", "nan")),
    *(
        (f"trainer.{name}={v}", OFTEN)
        for name in ("log_every", "checkpoint_every", "sample_every")
        for v in ("x", "-1")
    ),
    ("trainer.validate_every=1.5", OFTEN),
    *((f"trainer.sample_count={value}", COUNT) for value in ("0", "x")),
    *((f"trainer.threads={value}", f"{OFTEN}, or null") for value in ("-1", "x")),
    ("trainer.average=x", "a number, or null"),
    *(
        (f"trainer.devices={value}", "auto, a whole number of")
        for value in ("0", "x", "-2", "null", "true", "[]", "1.5")
    ),
    ("trainer.num_nodes=0", COUNT),
    ("trainer.channels_last=foo", "true, false or auto"),
    ("trainer.deterministic=maybe", "true, false or warn"),
    ("trainer.compile=maybe", "true or false"),
    *((f"model.generator.width={value}", "a number above 0") for value in ("0", "-1", "x", "null")),
    ("model.discriminator.width=0", "a number above 0"),
    *(
        (f"model.{part}.lr={v}", "a number of at least 0")
        for part in ("optimizer_g", "optimizer_d")
        for v in ("fast", -1)
    ),
    ("model.generator_every=0", COUNT),
    ("model.discriminator.layers=many", "a whole number"),  # by the kind of its default, as the next
    ("model.loss_weights.style=much", "a number"),
    ("model.generator.batch_norm=maybe", "true or false"),
]
RIGHT = [
    *("batches=null", "epochs=0.5", "epochs=3", "seed=4294967295", "data.workers=null", "data.workers=0"),
    *("evaluation.keep=0", "evaluation.fid=1", "evaluation.protocol=[standard,rn]", "data.geometry.short_side=null"),
    *("trainer.clip_norm=0", "trainer.clip_norm=0.5", "trainer.average=0.999", "trainer.log_every=0"),
    *("trainer.devices=auto", "trainer.devices=-1", "trainer.devices='0,2'", "trainer.devices=[0,2]"),
    *("trainer.deterministic=warn", "trainer.channels_last=true", "trainer.threads=2", "trainer.precision=bf16-mixed"),
    *("trainer.strategy=ddp", "model.generator.width=0.25", "model.optimizer_g.lr=0", "model.optimizer_g.lr=1"),
    *("model.loss_weights.style=1", "model.vgg=null", "model.discriminator=null", "model.generator.reverse=null"),
    *("trainer.threads=${data.batch_size}", "batches=${trainer.log_every}", "batches=${nowhere}", "seed=???"),
]


@pytest.fixture(scope="module")
def lbam() -> DictConfig:
    return compose_config(["model=lbam", "batches=1"])


def checked(config: DictConfig, line: str) -> None:
    override = OverridesParser.create().parse_override(line)
    changed = deepcopy(config)
    OmegaConf.update(changed, override.key_or_group, override.value())
    option_values.check(changed, config, [override.key_or_group])


@pytest.mark.parametrize(("override", "words"), WRONG)
def test_a_wrong_value_is_named_with_what_it_must_be(override: str, words: str, lbam: DictConfig) -> None:
    with pytest.raises(UserError) as caught:
        checked(lbam, override)
    assert str(caught.value).startswith(f"{override} must be {words}")


@pytest.mark.parametrize("override", RIGHT)
def test_a_right_value_or_one_that_is_not_known_yet_passes(override: str, lbam: DictConfig) -> None:
    checked(lbam, override)


def test_values_are_checked_wherever_a_config_is_composed() -> None:
    for program, wrong in (
        ("train", "trainer.clip_norm=-1"),
        ("evaluate", "split=foo"),
        ("evaluate", "evaluation.keep=-1"),
    ):
        overrides = [wrong] if program == "train" else ["checkpoint=x", wrong]
        for refuse in (compose_config, check_command_line):
            with pytest.raises(UserError, match=f"{wrong} must be "):
                refuse(overrides, program)
    with pytest.raises(UserError, match="batches=0 must be a whole number of at least 1"):
        check_command_line(["-m", "seed=0,1", "batches=0,5"], "train")
    with pytest.raises(UserError, match=r"seed=1\.5 must be"):
        check_command_line(["-m", "seed=0,1.5"], "train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=0,1"], "seed=0,1 describes several runs: train them with `inpaintlab train -m ...`"),
        (["experiment=glob(lbam_*)"], r"several runs: train them with `inpaintlab train -m"),
        (["foo"], "expected KEY=VALUE, got 'foo'"),
        (["msanet_places2", "scale=demo"], r"got 'msanet_places2'; did you mean experiment=msanet_places2\?"),
    ],
)
def test_several_values_need_multirun_and_words_need_a_key(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(").replace("*", r"\*")):
        check_command_line(arguments, "train")


def test_no_arguments_pass() -> None:
    check_command_line([], "evaluate")


def test_hydras_own_options_and_deletions_pass() -> None:
    run = ["experiment=msanet_places2", "scale=demo"]
    for arguments in (["--cfg", "job"], ["-c", "job", "-p", "model"], ["-m", "seed=0,1"], ["~data.geometry.flip"]):
        check_command_line([*run, *arguments], "train")


def test_the_program_ends_with_the_sentence(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "inpaintlab",
        "train",
        "experiment=msanet_places2",
        "scale=demo",
        "batches=0",
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert result.returncode == 1
    assert result.stderr == "error: batches=0 must be a whole number of at least 1, or null\n"
    assert not list(tmp_path.iterdir())

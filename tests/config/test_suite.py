"""The identity of suites."""

import re

import pytest

from srkd_bench.config.suite_file import load_suite


def test_a_suites_identity_is_its_name_and_a_digest() -> None:
    assert re.fullmatch(r"smoke@[0-9a-f]{20}", load_suite("smoke").identity)
    assert len({load_suite(name).identity for name in ("smoke", "demo", "bsds", "bsds-more", "paper")}) == 5


IDENTITIES = {
    "bsds": ("579f6a5ff967c73421b4de141a0cbfd0205421b6706635cd03d4174a0adc4bd1", "bsds@aafbb314aaa0202ab5a2"),
    "smoke": (
        "930a3a67be1f626fa0b34e555422ee48a1199df274e65cb7f5acaf51d1bf2a77",
        "smoke@fe04751d49bf9dfbf523",
    ),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_suites_have_the_digest_and_the_identity_that_they_always_had(name: str) -> None:
    suite = load_suite(name, ["params={}"])  # bsds names parameters since defaults changed
    assert (suite.digest, suite.identity) == IDENTITIES[name]


@pytest.mark.parametrize(
    "setting", ["seeds=[3,4]", "methods=[none]", "data.test=[set5]", "evaluate.metrics=[ssim_y]", "claims=[]"]
)
def test_display_settings_do_not_change_a_suites_identity(setting: str) -> None:
    assert load_suite("smoke", [setting]).identity == load_suite("smoke").identity


@pytest.mark.parametrize(
    "setting",
    [
        "train.steps=7",
        "data.train=bsds500",
        "data.scale=3",
        "student.n_feats=9",
        "teacher.model.n_feats=9",
        "teacher.weights=w.pt",
        "teacher.seeds=paired",
        "teacher.seeds=[0]",
        "params.hkd.weight=2.0",
        "params=tuned",
        "evaluate.self_ensemble=true",
        "name=other",
    ],
)
def test_every_setting_that_affects_scores_changes_a_suites_identity(setting: str) -> None:
    assert load_suite("smoke", [setting]).identity != load_suite("smoke").identity


def test_a_weights_file_enters_the_identity_by_name_not_path() -> None:
    found = {load_suite("smoke", [f"teacher.weights={path}"]).identity for path in ("w.pt", "a/b/w.pt")}
    assert len(found) == 1
    assert load_suite("smoke", ["teacher.weights=v.pt"]).identity not in found

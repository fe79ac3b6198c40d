"""Digests of runs must not change: finished runs in existing stores are found by them."""

import json
from pathlib import Path

import pytest

from srkd_bench.config.artifacts import Run
from srkd_bench.config.base import digest_of
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.data.catalog import find
from srkd_bench.evaluation.scores import measurement
from srkd_bench.experiments.analysis import origin
from srkd_bench.experiments.analysis.timing import Pace
from srkd_bench.experiments.planning import planner
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.methods import registry
from srkd_bench.methods.builtin.hkd import HKD
from srkd_bench.methods.composition import Composition
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd

ARCHIVE = Path(__file__).parents[3] / "results" / "bsds" / "teacher.tar"

SUITES = {
    "methods": """
name: methods
data: {train: photos, test: [photos-test], scale: 2}
teacher: {model: {n_feats: 6, n_resblocks: 4}, train: {steps: 12}}
student: {n_feats: 4, n_resblocks: 4}
train: {batch: 4, patch: 8, steps: 10, learning_rate: 1e-3}
methods: [none, hkd, ckd, rkd, rvkd, fakd, augkd, crosskd, fitnet, at, dml, byot, rkd+hkd, none@equal-cost]
params:
  ckd: {warmup: 0.0}
  augkd: {weight: 0.25, response: 0.25, crops: 0, changes: batch, truth: 0.0}
seeds: [0]
""",
    "settings": """
name: settings
data: {train: photos, test: [photos-test], scale: 4}
teacher: {model: {n_feats: 256, n_resblocks: 2, res_scale: 0.1}, train: {steps: 12, restarts: [6], compile: true}}
student: {n_feats: 4, n_resblocks: 4}
train:
  {loss: l1, batch: 4, patch: 8, steps: 10, learning_rate: 1e-3, schedule: cosine, precision: bf16, augment: false}
methods: [none, ckd, rkd+hkd]
params: {ckd: {warmup: 0.5}, hkd: {weight: 0.5, loss: mse}}  # until 2026, HKD was MSE whatever the loss
seeds: [3]
""",
}
DIGESTS = {
    "methods": {
        "teacher": "c42116cf0f48795fd45bb97c2f0da48e2c193361556c2401a5e107fc03b3e4d4",
        "none seed 0": "dbd25f207eeeae283a410a1d2cc168ad2c23aefba86483c1a1232d27b96aa389",
        "hkd seed 0": "5cdf74e550572bfc050e82852008feb39ca7c82c2b1695dfa46a8ca0550d3fce",
        "ckd seed 0": "c89946e6561c8ebb754019aaaa4ac228a211cc1b793acc334ed5e07ee47f5100",
        "rkd seed 0": "c0f89e48ee704dba07a407d707ecd87f20b08c54dcdd1a4bdd4b7bd9c1dbf688",
        "rvkd seed 0": "fe50a25528a4b5881c5be6d596c850796cfb16c25804b699e55bd65a2cef60ad",
        "fakd seed 0": "14781e3e141ab3280f9010d6bc7033c6fa84c6cd9a5f7f01c19b872295413a29",
        "augkd seed 0": "9ceb602b04948acdc3a26f43e75474cd33c15dcf90c1e70b689b12fe7376e145",
        "crosskd seed 0": "4d8a010451c55392e279544f218b6a69f8ff601ff1f0fed1c2b45b75cba3875f",
        "fitnet seed 0": "fa1933a28a43436fd394ede8938c7091f69c2d8477a2fe1164f585856aa29ba6",
        "at seed 0": "2494e6b33a906908bca156e823f224a5caadd212c12c683037d7e702e1cedb16",
        "dml seed 0": "63f193c65dee9035c41e2242b66dfdeabb332bdb57c45ff62e154cf03f109d33",
        "byot seed 0": "c416816fcb5fa258e6d56135bde8ecf63fe9735285611c4820395b824133a051",
        "rkd+hkd seed 0": "743d0b8416682e39d3ad768675f6f2e3c1c7c257bcb3b1d33e7c1ec424cf947a",
        "none@equal-cost seed 0": "95fb27a372f75b2d2d3408dda965d133e12ad1ac2b48c5c78789c86a19852438",
    },
    "settings": {
        "teacher": "ee8ecfde9780870af5f18582c00903b5827e0fe71afad4cc2ffc7d921bae9c3d",
        "none seed 3": "872e50584e639f197ab408ae9da5eb01bae13b6fc4bb6265badd9f62e750edcf",
        "ckd seed 3": "2669c2e89f95ee239e1a1612cf531b557ae8fad3ecb39086b609b2cdd42c07ca",
        "rkd+hkd seed 3": "61809ec7289b2da17cac332f8f4b92c911388e0d101ed6834f70a30b9d9b0cde",
    },
}


# Of all runs of the published suites: the digest of their digests, in order.
PUBLISHED = {
    "bsds": "fb0b1f4653f81226a145f5d2d726ddf087161103d2218984ab93d7d8821a2a0f",
    "bsds-more": "9ba34b0f8410ad2366c4687cc265914a12f686f0462a0ce1dc13963cf02d7e21",
    "bsds-tuned": "8128a68b8355ec3292fbb20d4b2c4292c4af966d972d4b64190080e07e3b3ab3",
    "bsds-warmup": "2a52f5870ca33c3e24ce9631d006f375f07a261b4eb4a7ad2648a990417da659",
    "bsds-pretrained": "e877764d5c8cd5d0820eeb48f7b8870e1c130945cf47b63f6286aaaa1a6023f1",
}
TRIALS = 4  # of each method of bsds-tuned
IDENTITIES = {  # of the suites that come with srkd, as files of published scores state them
    "bsds": "bsds@aafbb314aaa0202ab5a2",
    "bsds-pretrained": "bsds-pretrained@28433dd4f8367056b55d",
    "bsds-tuned": "bsds-tuned@f06e80cfc74ba33276be",
    "bsds-warmup": "bsds-warmup@9a29e777a0438ffc28b2",
    "conformance": "conformance@abae8247eb5895255671",
    "demo": "demo@91cf58185aacadefe905",
    "paper": "paper@c9d658f8023cfe111e54",
    "smoke": "smoke@fe04751d49bf9dfbf523",
}
EARLIER = {  # settings of suites that name more parameters since defaults changed, or another teacher
    "bsds": ["params={}"],
    "bsds-pretrained": ["params={}"],
    "bsds-tuned": ["params=tuned"],
    "paper": [
        "teacher={model: {n_feats: 256, n_resblocks: 32, res_scale: 0.1}}",
        "params={ckd: {weight: 1.0}, rkd: {weight: 25.0}, rvkd: {weight: 1.0}}",
    ],
}
TRAINED_SCORES = "e18e01de31cd8e374447a176641d10bbf587ce23475e58d309ad124198ebb078"
BICUBIC_SCORES = "aac0418a957c1b85b70dd29a592ed497c2a40da05788612a9b2f303643ae8781"


def planned(name: str, store: ArtifactStore, display: Display, folder: Path) -> Plan:
    (folder / "suite.yaml").write_text(SUITES[name], encoding="utf-8")
    return planner.plan(load_suite(str(folder / "suite.yaml")), store, display)


@pytest.mark.parametrize("name", SUITES)
def test_run_digests_are_unchanged(store: ArtifactStore, display: Display, tmp_path: Path, name: str) -> None:
    plan = planned(name, store, display, tmp_path)
    assert {plan.title(key): key.digest for key in plan.networks} == DIGESTS[name]


@pytest.mark.parametrize("name", IDENTITIES)
def test_suite_identities_are_unchanged(name: str) -> None:
    assert load_suite(name, EARLIER.get(name, [])).identity == IDENTITIES[name]


def test_score_files_from_before_a_suite_named_its_parameters_are_accepted() -> None:
    for name in ("bsds", "bsds-pretrained", "bsds-tuned"):
        assert origin.EARLIER[load_suite(name).identity] == IDENTITIES[name]
    assert origin.EARLIER[load_suite("bsds-more").identity].startswith("bsds-more@")


def test_pixel_terms_follow_the_loss_and_their_runs_have_digests_of_their_own(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    (tmp_path / "suite.yaml").write_text(SUITES["methods"], encoding="utf-8")

    def runs(*settings: str) -> dict[str, Run]:
        chosen = ["train.loss=l1", *settings]
        plan = planner.plan(load_suite(str(tmp_path / "suite.yaml"), chosen), store, display)
        return {run.method: run for run in plan.students if plan.column(run) == run.method}

    following = {"hkd", "rkd+hkd", "fakd", "augkd", "crosskd", "dml", "byot"}
    parts = sorted(following - {"rkd+hkd"})
    new, named = runs(), runs(*(f"params.{part}.loss=mse" for part in parts))
    assert {name for name, run in new.items() if run.digest != named[name].digest} == following
    assert named["hkd"].params == {"hkd": {"version": 1, "weight": 1.0}}  # as runs had it before
    assert new["hkd"].params == {"hkd": {"version": 1, "weight": 1.0, "loss": "l1"}}
    assert new["rkd+hkd"].params["rkd"] == {"version": 1, "weight": 0.25}
    method = registry.rebuild("rkd+hkd", new["rkd+hkd"].params)
    assert isinstance(method, Composition)
    assert method.parts["hkd"] == HKD(loss="l1")
    assert registry.rebuild("hkd", named["hkd"].params) == HKD(loss="mse")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_runs_of_published_suites_are_unchanged(
    store: ArtifactStore, display: Display, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(planner, "pixels_of", lambda store, name: find(name).pixels)
    plan = planner.plan(
        load_suite(name), store, display, scored=True
    )  # without the weights of bsds-pretrained
    trials = [run for column in plan.methods for run in planner.trial_runs(plan, column, TRIALS)]
    runs = [*plan.networks, *(trials if plan.suite.tuned else [])]
    assert digest_of([run.digest for run in runs]) == PUBLISHED[name]


def test_score_digests_are_unchanged(store: ArtifactStore, display: Display, tmp_path: Path) -> None:
    teacher = planned("settings", store, display, tmp_path).teacher
    assert measurement(teacher, "0" * 64, 2, self_ensemble=False).digest == TRAINED_SCORES
    assert measurement(None, "0" * 64, 3, self_ensemble=True).digest == BICUBIC_SCORES


def test_the_published_control_at_equal_cost_is_found_by_every_name_of_its_steps(
    store: ArtifactStore, display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "pixels_of", lambda store, name: find(name).pixels)
    for control in ("none@equal-cost", "none@10.0522x"):  # 100,522 steps
        settings = [f"methods=[{control}]", f"params={{{control}: {{learning_rate: 1.5e-3}}}}", "seeds=[0]"]
        (run,) = planner.plan(load_suite("bsds", settings), store, display, scored=True).students
        assert run.digest == "8fe35dcacca06fa46d8909695fef470a253078d040ed9c329e55bb169b07320e"


def test_the_published_teacher_is_cached_once_it_is_imported(
    srkd: Srkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecast = "srkd_bench.experiments.analysis.forecast"
    pace = Pace(step=2.0, event=1.0, validation=0.0, event_bytes=100)
    monkeypatch.setattr(f"{forecast}.paced", lambda runs, validation, place: pace)
    monkeypatch.setattr(f"{forecast}.seconds_a_pixel", lambda spec, scale, place: 1e-6)
    # As if BSDS500 were downloaded: its pixels always have this digest, which is part of the teacher's.
    monkeypatch.setattr(planner, "pixels_of", lambda store, name: find(name).pixels)

    def state() -> str:
        code, text, messages = srkd("run", "bsds", "--dry-run", "--json")
        assert code == 0, messages
        (teacher,) = (job for job in json.loads(text)["jobs"] if job["kind"] == "teacher")
        return str(teacher["state"])

    assert state() == "to do"
    code, _, messages = srkd("store", "import", str(ARCHIVE))
    assert code == 0, messages
    assert state() == "cached"

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.labels import on_grid
from srkd_bench.data.patches import Patches
from srkd_bench.evaluation.metrics import measure
from srkd_bench.methods import registry
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training import teacher_cache
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit
from srkd_bench.training.teacher_cache import TeacherCache, TeacherSR, open_cache

CPU = torch.device("cpu")
TRAIN = TrainSpec(batch=4, patch=8, steps=6, learning_rate=1e-3)
SHAPE = (4, 3, 16, 16)
RECORD = teacher_cache.HEADER.size + 2 * 4 * 3 * 16 * 16


def key(seed: int) -> TeacherSR:
    return TeacherSR(
        teacher="t", pixels="p", scale=2, seed=seed, batch=4, patch=8, augment=True, precision="fp32",
        machine="m",
    )  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path) -> TeacherCache:
    return TeacherCache(tmp_path / "x.sr", SHAPE)


def sr(seed: int) -> torch.Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.1


def test_the_grid_has_128_levels_per_8_bit_level() -> None:
    exact = torch.tensor([-0.5, 0.0, 1 / 32768, 0.25, 1.0, 1.5 - 1 / 32768])
    assert torch.equal(on_grid(exact), exact)
    assert torch.equal(on_grid(torch.tensor([-3.0, 7.0])), torch.tensor([-0.5, 1.5 - 1 / 32768]))
    assert on_grid(torch.tensor([float("nan")])).isnan().all()
    images = sr(0)
    assert 0 < (on_grid(images) - images).abs().max() <= 2**-16
    assert torch.equal(on_grid(on_grid(images)), on_grid(images))


def test_the_grid_does_not_lower_psnr(store: ArtifactStore) -> None:
    images, network = open_set(store, "photos-test", 2), build(ModelSpec(n_feats=4, n_resblocks=4), 0)
    lr = torch.from_numpy(np.array(images.lr(0))).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        exact = network(lr).sr

    def psnr(one: torch.Tensor) -> float:
        image = one[0].mul(255).clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
        return measure(image, images.hr(0), scale=2, metrics=["psnr_y"])["psnr_y"]

    assert psnr(on_grid(exact)) == pytest.approx(psnr(exact), abs=1e-4)


def test_written_sr_is_read_back_unchanged(cache: TeacherCache) -> None:
    for step in (2, 0):
        cache.write(step, sr(step))
    for step in (0, 2):
        found = cache.read(step)
        assert found is not None
        assert torch.equal(found, on_grid(sr(step)))
        assert cache.has(step)
    assert cache.read(1) is None
    assert cache.read(3) is None
    assert not cache.has(1)


@pytest.mark.parametrize("at", [0, 9, 12, RECORD - 1], ids=["number", "checksum", "first", "last"])
def test_a_damaged_record_is_not_read_and_can_be_written_again(
    cache: TeacherCache, tmp_path: Path, at: int
) -> None:
    path = tmp_path / "x.sr"
    for step in range(3):
        cache.write(step, sr(step))
    content = bytearray(path.read_bytes())
    content[RECORD + at] ^= 4
    path.write_bytes(content)
    assert cache.read(1) is None
    assert not cache.has(1)
    assert cache.read(0) is not None
    cache.write(1, sr(1))
    assert path.read_bytes() != content
    assert cache.read(1) is not None


def test_an_incomplete_record_is_not_read(cache: TeacherCache, tmp_path: Path) -> None:
    cache.write(0, sr(0))
    os.truncate(tmp_path / "x.sr", RECORD - 1)
    assert cache.read(0) is None


def test_non_finite_sr_is_not_cached(cache: TeacherCache) -> None:
    broken = sr(0)
    broken[0, 0, 0, 0] = torch.nan
    cache.write(0, broken)
    assert not cache.has(0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_only_stops_caching(tmp_path: Path) -> None:
    (tmp_path / "x.sr").symlink_to("/dev/full")
    cache = TeacherCache(tmp_path / "x.sr", SHAPE)
    assert cache.read(0) is None
    cache.write(0, sr(0))
    cache.write(1, sr(1))
    assert not cache.has(1)
    cache.close()


def test_a_too_large_cache_is_not_started(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = TRAIN.steps * RECORD
    found, why = open_cache(key(0), TRAIN, store, needed - 1)
    assert (found, why.startswith("its SR would take")) == (None, True)
    assert open_cache(key(0), TRAIN, store, 0) == (None, "")
    assert not (store.home / "cache").exists()
    found, why = open_cache(key(0), TRAIN, store, needed)
    assert (found is not None, why) == (True, "")
    monkeypatch.setattr(teacher_cache, "free", lambda path: needed + teacher_cache.ROOM - 1)
    found, why = open_cache(key(1), TRAIN, store, 9e9)
    assert found is None
    assert why.endswith("are free")


def test_the_least_recently_used_caches_are_removed(store: ArtifactStore) -> None:
    size = TRAIN.steps * RECORD
    keys = [key(seed) for seed in range(4)]
    paths = [store.path(one) for one in keys]
    for i, one in enumerate(keys[:3]):
        found, _ = open_cache(one, TRAIN, store, 3 * size)
        assert found is not None
        for step in range(TRAIN.steps):
            found.write(step, sr(step))
        found.close()
        os.utime(paths[i], (1000 + i, 1000 + i))
    assert open_cache(keys[0], TRAIN, store, 3 * size)[0] is not None  # now the youngest
    assert open_cache(keys[3], TRAIN, store, 3 * size)[0] is not None
    assert [path.exists() for path in paths] == [True, False, True, True]


def test_one_process_at_a_time_removes_caches(store: ArtifactStore) -> None:
    with ThreadPoolExecutor(1) as pool:
        with store.locked(["teacher-cache"]):
            opened = pool.submit(open_cache, key(0), TRAIN, ArtifactStore(store.home), 9e9)
            with pytest.raises(TimeoutError):
                opened.result(timeout=0.3)
        assert opened.result()[0] is not None


class Lab:
    def __init__(self, images: ImageSet, folder: Path) -> None:
        self.images, self.folder, self.passes = images, folder, 0
        self.teacher = build(ModelSpec(n_feats=6, n_resblocks=4), "teacher").requires_grad_(False).eval()
        self.teacher.register_forward_hook(self._count)

    def _count(self, *words: object) -> None:
        self.passes += 1

    def train(self, names: list[str], place: str, cache: TeacherCache | None) -> dict[str, Architecture]:
        learners = {}
        for name in names:
            method = registry.build(name, {})
            run = Run(
                model=ModelSpec(n_feats=4, n_resblocks=4), train=TRAIN, data="photos", pixels="", method=name,
                params=registry.identity(method, name), seed=0, teacher=None,
            )  # fmt: skip
            sample, _ = Patches(self.images, TRAIN, "sample").batch(0)
            learners[name] = Learner(run, method, self.teacher, sample, self.folder / place, CPU)
        self.passes = 0
        patches = Patches(self.images, TRAIN, 0)
        fit(list(learners.values()), self.teacher, patches, device=CPU, cache=cache)
        return {name: learner.student for name, learner in learners.items()}


def same(a: Architecture, b: Architecture) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_a_method_added_later_is_bit_identical_without_teacher_forward_passes(
    store: ArtifactStore, tmp_path: Path, cache: TeacherCache
) -> None:
    lab = Lab(open_set(store, "photos", 2), tmp_path)
    live = lab.train(["hkd", "ckd", "rvkd"], "live", None)
    assert lab.passes == TRAIN.steps
    lab.train(["rkd"], "first", cache)
    assert lab.passes == TRAIN.steps
    kept = lab.train(["hkd", "ckd"], "kept", cache)
    assert lab.passes == 0
    assert same(kept["hkd"], live["hkd"])
    assert same(kept["ckd"], live["ckd"])
    features = lab.train(["rvkd"], "features", cache)
    assert lab.passes == TRAIN.steps
    assert same(features["rvkd"], live["rvkd"])


def test_a_missing_or_damaged_step_is_recomputed_and_cached(
    store: ArtifactStore, tmp_path: Path, cache: TeacherCache
) -> None:
    lab = Lab(open_set(store, "photos", 2), tmp_path)
    live = lab.train(["hkd"], "live", cache)
    content = bytearray((tmp_path / "x.sr").read_bytes())
    content[2 * RECORD + 500] ^= 1
    (tmp_path / "x.sr").write_bytes(content)
    again = lab.train(["hkd"], "again", cache)
    assert lab.passes == 1
    assert same(again["hkd"], live["hkd"])
    lab.train(["ckd"], "third", cache)
    assert lab.passes == 0

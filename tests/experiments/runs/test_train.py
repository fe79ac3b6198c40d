from pathlib import Path
from typing import Any

import pytest
import torch

from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import Stopped
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import open_set
from srkd_bench.experiments.planning.planner import plan
from srkd_bench.experiments.runs import train
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import RunOptions, Workplace
from srkd_bench.training.loop import fit
from srkd_bench.training.teacher_cache import TeacherCache

SUITE = """
name: tiny
data: {train: photos, test: [photos-test], scale: 2}
teacher: {model: {n_feats: 2, n_resblocks: 4}}
student: {n_feats: 1, n_resblocks: 4}
train: {batch: 4, patch: 8, steps: 2}
methods: [hkd]
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_the_teacher_cache_is_closed_after_success_and_failure(
    store: ArtifactStore, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    (tmp_path / "tiny.yaml").write_text(SUITE, encoding="utf-8")
    images = open_set(store, "photos", 2)
    found = plan(load_suite(str(tmp_path / "tiny.yaml")), store, display)
    place = Workplace(store, display, torch.device("cpu"), options=RunOptions(teacher_cache=1e9))
    train.ensure_teacher(found, images, place)
    caches: list[TeacherCache | None] = []

    def watched_fit(*words: Any, cache: dict[int, TeacherCache | None], **more: Any) -> None:
        fit(*words, cache=cache, **more)
        (own,) = cache.values()
        caches.append(own)
        assert own is not None
        assert own.has(1)
        if stopped:
            raise Stopped("stopped at step 2 of 2", 75)

    monkeypatch.setattr(train, "fit", watched_fit)
    if stopped:
        with pytest.raises(Stopped):
            train.ensure_group([*found.students], images, found.suite.data, place)
    else:
        assert train.ensure_group([*found.students], images, found.suite.data, place) == []
    (cache,) = caches
    assert cache is not None
    assert not cache.has(1)  # it is closed

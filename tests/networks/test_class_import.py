"""Modules that may run without the user's permission, by the origin of their files."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.methods import sources
from srkd_bench.networks.class_import import find, is_installed

NET = """
from pathlib import Path
from torch import nn
Path(__file__).with_name("ran").touch()

class Net(nn.Module):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an untrusted folder, which is the working directory."""
    (tmp_path / "stranger").mkdir()
    monkeypatch.chdir(tmp_path / "stranger")
    monkeypatch.delenv("SRKD_TRUST", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path / "stranger"


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(NET, encoding="utf-8")
    return path


def refused(arch: str, folder: Path) -> bool:
    with pytest.raises(SrkdError, match="is code in this folder"):
        find(arch)
    return not list(folder.rglob("ran"))


@pytest.mark.parametrize("entry", ["", ".", "{here}"])
def test_the_working_directory_in_sys_path_is_not_trusted(
    entry: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder / "trap_alone.py")
    written(folder / "trap_pack" / "deep" / "nets.py")
    monkeypatch.setattr(sys, "path", [entry.format(here=folder), *sys.path])  # `python -m` puts it first
    monkeypatch.setenv("PYTHONPATH", f"/nowhere{os.pathsep}")  # an empty entry, too
    assert refused("trap_alone:Net", folder)
    assert refused("trap_pack.deep.nets:Net", folder)
    with pytest.raises(MissingError):
        find("trap_nowhere.nets:Net")


@pytest.mark.parametrize("imported", [True, False])
def test_a_folder_extending_an_installed_namespace_package_is_not_trusted(
    imported: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = f"trap_space_{imported}".lower()
    written(tmp_path / "installed" / space / "good.py")
    written(folder / space / "evil.py")
    monkeypatch.setattr(sys, "path", [str(folder), str(tmp_path / "installed"), *sys.path])
    if imported:
        __import__(space)
    assert refused(f"{space}.evil:Net", folder)
    assert is_installed(f"{space}.good")
    written(folder / space / "good.py")  # which Python would find first
    assert refused(f"{space}.good:Net", folder)


def test_a_folder_given_by_its_full_path_is_trusted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder / "mine_full.py")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    assert not is_installed("mine_full")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    assert is_installed("mine_full")
    assert find("mine_full:Net")[1] == folder / "mine_full.py"


def test_an_editable_install_in_the_working_directory_is_trusted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder / "mine_editable.py")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(packages)])
    assert refused("mine_editable:Net", folder)
    (packages / "mine.pth").write_text(f"# a comment\nimport sys\n{folder}\n", encoding="utf-8")
    assert is_installed("mine_editable")


def test_an_entry_point_in_the_working_directory_is_not_an_installed_method(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder / "trap_entry.py")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(sources, "installed", lambda: {"trap": "trap_entry:Net"})
    found = sources.find("trap", allowed=False)
    assert found is not None
    assert not found.allowed
    with pytest.raises(SrkdError, match="would run the code in 'trap'"):
        sources.check_allowed(found)


SUITE = """
name: tiny
data: {train: photos, test: [photos-test]}
teacher: {model: {n_feats: 4, n_resblocks: 4}, train: {steps: 1}}
student: {arch: "mpl_toolkits.evil:Net"}
train: {batch: 2, patch: 8, steps: 1}
methods: [none]
"""


def test_python_m_in_an_untrusted_folder_does_not_run_its_code(folder: Path) -> None:
    written(folder / "mpl_toolkits" / "evil.py")
    (folder / "s.yaml").write_text(SUITE, encoding="utf-8")
    root = str(Path(__file__).parents[2])
    for path in (root, root + os.pathsep):
        ended = subprocess.run(
            [sys.executable, "-m", "srkd_bench", "run", "s.yaml", "--dry-run", "--home", "home"],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 1
        assert "'mpl_toolkits.evil' is code in this folder" in ended.stderr
    assert not list(folder.rglob("ran"))


def test_a_missing_spandrel_is_answered_by_the_command_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srkd_bench.networks.class_import._files", lambda module, places: None)
    with pytest.raises(MissingError, match=r"no module 'spandrel\.architectures\.Nothing'") as caught:
        find("spandrel.architectures.Nothing:Net")
    assert "[spandrel]" in caught.value.hint

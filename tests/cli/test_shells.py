import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_completion import ask


def in_bash(line: str, home: Path) -> list[str]:
    """Return what bash shows as the completions of a line, which it splits at spaces, `=`, `:` and `@`."""
    words = [part for word in line.split(" ") for part in re.findall(r"[=:@]+|[^=:@]+", word) or [""]]
    return ask("bash", home, COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1)).splitlines()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("srkd distill demo --method=hk", ["hkd"]),
        ("srkd distill demo --method=ckd,hk", ["ckd,hkd"]),
        ("srkd report demo --format=ht", ["html"]),
        ("srkd report demo --format=", ["terminal", "markdown", "latex", "html", "csv", "json"]),
        ("srkd export --to=s", ["safetensors"]),
        ("srkd run demo --device cuda:0,cp", ["0,cpu"]),
        ("srkd run demo --device=cuda:0,cp", ["0,cpu"]),
        ("srkd download set14@", ["@edsr"]),
        ("srkd evaluate --datasets=set5,set14@e", ["@edsr"]),
        ("srkd run demo --set seeds=[0] --set evaluate.metrics=[psnr_y,ss", ["[psnr_y,ssim_y"]),
        ("srkd run demo --set=data.validation=photos-v", ["photos-valid"]),
        ("srkd run demo --exec", ["--executor"]),
    ],
)
def test_bash_replaces_only_what_follows_a_break(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert in_bash(line, tmp_path) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("srkd distill demo --method=hk", """compset -P '--method='; _arguments '*: :(("hkd"))'"""),
        ("srkd distill demo --method ckd,hk", """_arguments '*: :(("ckd,hkd"))'"""),
        ("srkd run demo --set evaluate.metrics=[ss", """_arguments '*: :(("evaluate.metrics=[ssim_y"))'"""),
        ("srkd distill --method=nothing", "compset -P '--method='; _files"),
    ],
)
def test_zsh_sets_the_option_before_an_equals_sign_aside(tmp_path: Path, line: str, expected: str) -> None:
    assert ask("zsh", tmp_path, _TYPER_COMPLETE_ARGS=line).strip() == expected


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_the_installed_script_completes_in_bash(tmp_path: Path) -> None:
    script = ask("bash", tmp_path, _SRKD_COMPLETE="source_bash")
    command = tmp_path / "srkd"
    command.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c \"import sys; sys.argv[0] = 'srkd'\n"
        'from srkd_bench.cli.app import main; main()" "$@"\n',
        encoding="utf-8",
    )
    command.chmod(0o755)
    lines = f"{script}\nCOMP_WORDS=(srkd distill --method = ck)\nCOMP_CWORD=4\n_srkd_completion {command}\n"
    ran = subprocess.run(
        ["bash", "-c", lines + 'echo "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "ckd\n"

import shlex
from typing import Any

import pytest
import typer

from srkd_bench.cli.app import app
from tests.conftest import Srkd

ROOT: Any = typer.main.get_command(app)
COMMANDS = {
    **{name: command for name, command in ROOT.commands.items() if not hasattr(command, "commands")},
    **{
        f"{group} {name}": command
        for group in ("store", "method")
        for name, command in ROOT.commands[group].commands.items()
    },
}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_parses_and_shows_brackets_and_no_type_of_switches(
    srkd: Srkd, name: str
) -> None:
    text = srkd(*name.split(), "--help")[1]
    assert "<bool>" not in text
    assert "Example" in text
    words = " ".join(text.replace("│", " ").split())
    for option in COMMANDS[name].params:
        if "[" in (option.help or "") and not option.hidden:
            assert "[" + option.help.split("[")[1].split("]")[0] + "]" in words
    lines = [line.strip() for line in COMMANDS[name].epilog.splitlines()[1:]]
    assert lines
    for line in lines:
        command = shlex.split(line.removeprefix("$ ").partition(" > ")[0], comments=True)
        command = command[command.index("srkd") + 1 :]
        COMMANDS[name].make_context(name, command[len(name.split()) :], resilient_parsing=False)


def test_every_command_with_settings_has_seeds_unless_no_seed_matters_to_it() -> None:
    flags = {
        name: {flag for one in command.params for flag in one.opts} for name, command in COMMANDS.items()
    }
    with_settings = {name for name, names in flags.items() if "--set" in names}
    assert with_settings - {name for name, names in flags.items() if "--seeds" in names} == {
        "ls",
        "method check",
        "train-teacher",
    }


def test_an_extra_in_a_help_text_is_shown(srkd: Srkd) -> None:
    assert "[ray]" in srkd("run", "--help")[1]
    assert "[onnx]" in srkd("export", "--help")[1]


def test_commands_are_in_groups(srkd: Srkd) -> None:
    text = srkd("--help")[1]
    places = [
        text.index(f"─ {panel} ─") for panel in ("Run", "Inspect", "Data", "Networks", "Store", "Methods")
    ]
    assert places == sorted(places)


def test_old_spellings_work_with_a_notice(srkd: Srkd) -> None:
    code, _, messages = srkd("download", "photos-test", "--replace")
    assert (code, messages.splitlines()[0]) == (0, "note: --replace is now --force")
    code, _, messages = srkd("train-teacher", "--from=gone.pt")
    assert (code, messages.splitlines()[0]) == (3, "note: --from is now --weights")


def test_trust_stands_before_or_after_the_command(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for words in (["--trust", "ls", "suites"], ["ls", "suites", "--trust"]):
        monkeypatch.setenv("SRKD_TRUST", "0")
        assert srkd(*words)[0] == 0
        assert os.environ["SRKD_TRUST"] == "1"

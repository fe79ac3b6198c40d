import shlex
from pathlib import Path

import pytest

from tests.conftest import Srkd


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("distill --method ckdd", 1, "hint: did you mean 'ckd'?"),
        ("run demmo", 1, "hint: did you mean 'demo'?"),
        ("run --set train.stepps=3", 1, "hint: did you mean 'steps'?"),
        ("run --set params.ckd.wieght=3", 1, "hint: did you mean 'weight'?"),
        (
            "run --set params.ckd.weight=-1",
            1,
            "params.ckd.weight: must be at least 0, not -1 hint: its default: 0.25",
        ),
        ("run --set data.train=bsds50", 1, "hint: did you mean 'bsds500'?"),
        ("run --set data.test=[set55]", 1, "hint: did you mean 'set5'?"),
        ("run bsds", 3, "hint: srkd download bsds500 div2k-valid set5 set14 bsd100 urban100"),
        ("run --set train.batch=1", 1, "ckd compares the images of a batch"),
        ("run --set train.patch=200", 1, "larger than image"),
        ("run --set train.precision=fp16", 1, "hint: --set train.precision=bf16"),
        ("run --set teacher.train.precision=fp16", 1, "hint: --set teacher.train.precision=bf16"),
        ("run --set train.precision=tf32", 1, "error: precision tf32 needs an NVIDIA GPU"),
        ("run --device cuda:7", 1, "device 'cuda:7' is not available"),
        ("run --set teacher.weights=nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("compare hkd none --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("crops -o crops.png --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("tune --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("run bsds --suite demo", 1, "error: two suites are given: bsds and demo"),
        ("download set55", 1, "hint: did you mean 'set5'?"),
        ("download set5 --from empty", 3, "no images"),
        ("evaluate --model bicubic --datasets set5", 3, "hint: srkd download set5"),
        ("evaluate --model bicubic", 1, "hint: --datasets set5,set14"),
        ("report -o table.pdf", 1, "no report format for 'table.pdf'"),
        ("report -f htm", 1, "hint: did you mean 'html'?"),
        ("show 0123456789", 3, "hint: srkd ls runs"),
        ("distill", 2, "error: --method is missing hint: srkd distill demo --method none,hkd"),
        # misspelled names
        ("runn demo", 2, "error: no command named 'runn' hint: did you mean 'run'?"),
        ("ls mehtods", 2, "error: no value of WHAT named 'mehtods' hint: did you mean 'methods'?"),
        ("report demo -f htm", 1, "hint: did you mean 'html'?"),
        ("plan demo -f slrum", 1, "hint: did you mean 'slurm'?"),
        ("run demo --executor rya", 1, "hint: did you mean 'ray'?"),
        ("compare demo hkd nnoe", 1, "hint: did you mean 'none'?"),
        ("compare demmo hkd none", 1, "hint: did you mean 'demo'?"),
        ("crops demmo -o a.png", 1, "hint: did you mean 'demo'?"),
        ("store export demmo -o a.tar", 1, "hint: did you mean 'demo'?"),
        ("store gc --keep demmo", 1, "hint: did you mean 'demo'?"),
        ("report demo --baseline hdk", 1, "hint: did you mean 'hkd'?"),
        ("evaluate demo --datasets set55", 1, "hint: did you mean 'set5'?"),
        ("report demo --fail-if 'hdk.photos-test < 1'", 1, "hint: did you mean 'hkd'?"),
        # wrong types and bounds
        ("run --jobs two", 2, "must be a whole number, not 'two'"),
        ("run --jobs 0", 2, "must be at least 1, not"),
        ("run --set train.steps=many", 1, "suite demo: train.steps: must be a whole number, not 'many'"),
        ("run --set train.steps=0", 1, "suite demo: train.steps: must be at least 1, not 0"),
        ("run --set seeds=3", 1, "seeds: must be a list, such as [a, b], not 3"),
        ("run --set data.scale=5", 1, "data.scale: must be 2, 3 or 4, not 5"),
        (
            "run --set train.loss=[l1,mse]",
            1,
            "train.loss: must be 'mse' or 'l1', not [l1, mse] hint: for example train.loss=l1",
        ),
        (
            "run --set 'params.ckd.weight={a: b}'",
            1,
            "must be a number, true, false or text hint: for example params={ckd: {warmup: 0.02}}",
        ),
        (
            "run --set seeds=[]",
            1,
            "must have at least 1 entry, not [] hint: for example seeds=[0, 1, 2, 3, 4, 5]",
        ),
        ("run --jobs", 2, "error: option '--jobs' requires an argument hint: srkd run --help"),
        ("run --json=1", 2, "error: option '--json' does not take a value"),
        ("export 1 --to onx -o a.onnx", 2, "hint: did you mean 'onnx'?"),
        ("upscale -o sr", 2, "hint: srkd upscale photo.png -o sr"),
        ("run --seeds ''", 1, "error: --seeds: '' is not a number"),
        ("run --cell ''", 1, "error: --cell names no cell"),
        ("run --seeds six", 1, "hint: --seeds 6 (0 to 5), --seeds 0-5 or --seeds 0,2,4"),
        ("run --device gpu", 1, "hint: --device cpu, cuda, cuda:0,cuda:1, mps, xpu or all"),
        ("tune --device cuda:0,cuda:1", 1, "hint: --device auto, cpu, cuda, cuda:1, mps or xpu"),
        ("report --fail-if 'hkd.set5'", 1, "hint: for example --fail-if"),
        ("distill --method ,", 1, "hint: --method ckd,hkd"),
        ("profile 4f1a --size big", 1, "hint: --size 320x180"),
        # order and number of arguments
        ("run demo bsds", 2, "error: unexpected argument: bsds hint: srkd run --help"),
        ("demo run", 2, "hint: put the suite after the command: srkd run demo"),
        ("compare hkd", 1, "hint: srkd compare demo hkd none"),
        ("compare demo hkd none rkd", 1, "hint: srkd compare demo hkd none"),
        # missing files
        ("run my-study.yaml", 3, "no suite file 'my-study.yaml'"),
        ("report --from gone.csv", 3, "hint: srkd report -o scores.csv writes one"),
        ("store import gone.tar", 3, "gone.tar"),
        ("distill --method ./gone.py", 3, "gone.py"),
        ("upscale gone.png -o sr --weights gone.pt", 3, "gone.p"),
        # unknown options, and options in the wrong place
        ("run --gpu 1", 2, "error: srkd run has no option --gpu hint: srkd run --help"),
        ("run --drry-run", 2, "hint: did you mean --dry-run?"),
        ("--dry-run run demo", 2, "hint: put options after the command: srkd run --dry-run"),
        ("report --dry-run", 2, "error: srkd report has no option --dry-run"),
        ("--verion", 2, "hint: did you mean --version?"),
        ("ls --measure", 1, "hint: srkd ls methods --measure"),
        # conflicting options
        ("run demo --seeds 2 --set seeds=[0]", 1, "--seeds and --set seeds are both given"),
        ("run --address a:1", 1, "hint: --executor ray"),
        ("run --executor ray --dry-run", 1, "hint: srkd plan demo"),
        ("evaluate --model bicubic --weights a.pt", 1, "hint: give one of them"),
        ("evaluate --self-ensemble --model bicubic --datasets set5", 1, "--self-ensemble needs a network"),
        ("store export -o a.tar", 1, "no suite and no run is given"),
        ("store export demo -o a.zip", 1, "does not end in .tar"),
        ("evaluate demo --weights a.pt --datasets set5", 1, "SUITE cannot be combined with --weights"),
        ("evaluate --weights a.pt --datasets set5 --seeds 2", 1, "--set or --seeds cannot be combined with"),
        (
            "evaluate --sr-dir empty --datasets set5 --set a=1",
            1,
            "hint: leave out --sr-dir to evaluate a suite",
        ),
        ("evaluate demo --model bicubic --datasets set5", 1, "SUITE cannot be combined with --model"),
        ("evaluate demo --scale 3", 1, "hint: --set data.scale=3"),
        ("evaluate demo --range 255", 1, "--range and --res-scale need --weights FILE"),
        (
            "evaluate --datasets set5 --set data.test=[set14]",
            1,
            "--datasets and --set data.test are both given",
        ),
        (
            "run --teacher a.pt --set teacher.weights=b.pt",
            1,
            "--teacher and --set teacher.weights are both given",
        ),
        (
            "train-teacher --weights a.pt --set teacher.weights=b.pt",
            1,
            "--weights and --set teacher.weights are both",
        ),
        ("compare demo a.csv b.csv", 1, "SUITE cannot be combined with score files"),
        ("compare a.csv b.csv --teacher a.pt", 1, "hint: leave out --teacher"),
        ("crops -o a.png --crop coffee:1,2,3,4 --count 2", 1, "hint: leave out --count"),
        ("crops -o a.png --crop coffee:1,2,3,4 --dataset set5", 1, "hint: leave out --dataset"),
        ("ls runs demo", 1, "SUITE cannot be combined with `srkd ls runs`"),
        ("ls methods --device cpu", 1, "hint: srkd ls methods SUITE --measure takes them"),
        ("download --list set5", 1, "NAME cannot be combined with --list"),
        ("download --from empty", 1, "--from needs the NAME of a data set"),
        ("report --json -f csv", 1, "--format cannot be combined with --json"),
        ("report --crop coffee:1,2,3,4", 1, "hint: -o report.html, or srkd crops -o crops.png"),
        ("report -o a.html --no-crops --crop coffee:1,2,3,4", 1, "--crop cannot be combined with --no-crops"),
        ("report --from a.csv --cards a.json", 1, "--cards cannot be combined with --from"),
        ("upscale a.png -o sr --run 0 --weights a.pt", 1, "a run and --weights cannot be combined"),
        ("profile", 1, "no network is named"),
        ("store gc --keep ,", 1, "hint: --keep demo,my-study.yaml"),
        ("crops demo -o a.png", 3, "no network of this suite is finished yet hint: `srkd run` trains them"),
        ("show demmo", 1, "hint: did you mean 'demo'?"),
    ],
)
def test_bad_input_gets_one_clear_error_before_any_work(
    srkd: Srkd, tmp_path: Path, command: str, code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    got, text, messages = srkd(*shlex.split(command))
    assert (got, text) == (code, "")
    assert message in " ".join(messages.split())
    lines = messages.splitlines()
    assert [sum(line.startswith(start) for line in lines) for start in ("error: ", "hint: ")] == [1, 1]
    foreign = ("Traceback", "Value error", "nput should", "<class", "Usage:", "['", "(s)")
    assert not any(one in messages for one in foreign)
    assert not (tmp_path / "home" / "runs").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"empty", "home", "user"}

from pathlib import Path

import pytest

from srkd_bench.config.network import ModelSpec
from srkd_bench.config.suite import Suite
from srkd_bench.config.suite_file import load_grid, load_suite, method_parameters
from srkd_bench.config.suite_names import suite_files
from srkd_bench.core.errors import SrkdError

BASE = """
name: mine
data: {train: photos, test: [photos-test]}
teacher: {model: {n_feats: 8, n_resblocks: 2}, train: {learning_rate: 1e-3}}
student: {n_feats: 4, n_resblocks: 2}
train: {steps: 10}
methods: [none]
"""


def load(tmp_path: Path, *settings: str, text: str = BASE) -> Suite:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_suite(str(path), settings)


@pytest.mark.parametrize("name", suite_files())
def test_every_suite_that_comes_with_srkd_can_be_read(name: str) -> None:
    assert load_grid(name).name == name


def test_epochs_are_converted_to_steps_and_defaults_are_applied(tmp_path: Path) -> None:
    plain = load(tmp_path, "train.steps=2000")
    assert load(tmp_path, "train.epochs=2").digest == plain.digest
    assert load(tmp_path, "train.epochs=4", "train.steps_per_epoch=500").digest == plain.digest
    assert load(tmp_path, "train.steps=2000", "train.loss=mse", "seeds=[0]").digest == plain.digest
    assert load(tmp_path, "train.steps=2001").digest != plain.digest


def test_the_teacher_inherits_train_settings_it_does_not_override(tmp_path: Path) -> None:
    teacher = load(tmp_path, "train.batch=5").teacher.train
    assert teacher is not None
    assert (teacher.batch, teacher.learning_rate, teacher.steps) == (5, 1e-3, 10)


def test_yaml_pitfalls_are_read_as_intended(tmp_path: Path) -> None:
    suite = load(tmp_path, text=BASE.replace("[none]", "[no, on]") + "params: {no: {weight: 1e-4}}\n")
    assert suite.methods == ["no", "on"]
    assert suite.params == {"no": {"weight": 1e-4}}


def test_students_are_stacked_and_teachers_are_not(tmp_path: Path) -> None:
    suite = load(tmp_path, "train.stacked=true")
    assert suite.teacher.train is not None
    assert (suite.train.stacked, suite.teacher.train.stacked) == (True, False)
    for setting, problem in (
        ("teacher.train.stacked=true", "teachers are trained alone"),
        ("train.compile=true", "stacked and compile cannot be combined"),
        ("train.compile=reduce-overhead", "stacked and compile cannot be combined"),
        ("train.precision=fp16", "stacked works with precision fp32, tf32 or bf16, not fp16"),
        (
            "student={arch: rcan, n_resgroups: 1, n_resblocks: 1, n_feats: 16}",
            "works with EDSR students only",
        ),
    ):
        with pytest.raises(SrkdError, match=problem):
            load(tmp_path, "train.stacked=true", setting)


def test_a_composition_has_parameters_of_its_own(tmp_path: Path) -> None:
    params = {"hkd": {"weight": 0.3}, "rkd+hkd": {"rkd.weight": 0.1, "hkd.weight": 4.0}}
    text = (
        f"{BASE}params: {{hkd: {{weight: 0.3}}, rkd+hkd: {{rkd: {{weight: 0.1}}, hkd: {{weight: 4.0}}}}}}\n"
    )
    assert load(tmp_path, text=text).params == params
    settings = ("params.hkd.weight=0.3", "params.rkd+hkd.rkd.weight=0.1", "params.rkd+hkd.hkd.weight=4.0")
    assert load(tmp_path, *settings).params == params
    assert method_parameters(settings) == params


def test_weights_replace_a_teacher_training(tmp_path: Path) -> None:
    teacher = load(tmp_path, "teacher.weights=edsr-official").teacher
    assert (teacher.weights, teacher.model, teacher.train) == ("edsr-official", None, None)
    several = BASE.replace("}, train:", "}, seeds: paired, train:")
    assert load(tmp_path, text=several).teacher.seeds == "paired"
    assert load(tmp_path, "teacher.weights=edsr-official", text=several).teacher == teacher


@pytest.mark.parametrize("seeds", ["paired", [0, 1, 2, 3], [7]])
def test_the_seeds_of_several_teachers_are_paired_or_a_list(tmp_path: Path, seeds: str | list[int]) -> None:
    assert load(tmp_path, f"teacher.seeds={seeds}").teacher.seeds == seeds


@pytest.mark.parametrize(
    "given", ["2", "crossed", "[]", "[0, 0]", "[-1]", "[1.5]", "[true]", "[4294967296]", "{a: 1}"]
)
def test_other_seeds_of_teachers_are_refused_in_one_line(tmp_path: Path, given: str) -> None:
    with pytest.raises(SrkdError) as error:
        load(tmp_path, f"teacher.seeds={given}")
    assert (
        "teacher.seeds: must be paired or a list of different seeds, such as [0, 1, 2, 3]"
        in error.value.message
    )


def test_a_teacher_that_is_not_trained_has_no_seeds(tmp_path: Path) -> None:
    with pytest.raises(SrkdError, match="seeds cannot be given with weights: such a teacher is not trained"):
        load(tmp_path, "teacher.weights=w.pt", "teacher.seeds=paired")


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("tran.steps=3", "'tran'", "'train'"),
        ("train.stepps=3", "train, named 'stepps'", "'steps'"),
        ("teacher.train.loos=l1", "teacher.train, named 'loos'", "'loss'"),
        ("grids={train.steps: [1, 2]}", "named 'grids'", "'grid'"),
        ("train={step: 4}", "train, named 'step'", "'steps'"),
        ("student={n_feat: 4, n_resblocks: 2}", "student, named 'n_feat'", "'n_feats'"),
        ("train.steps=0", "train.steps: must be at least 1, not 0", ""),
        ("train.steps=1.5", "train.steps: must be a whole number", ""),
        ("train.augment=no", "train.augment: must be true or false, not 'no'", ""),
        ("train.compile=fast", "train.compile: must be true, false or reduce-overhead, not 'fast'", ""),
        ("train.learning_rate=.inf", "train.learning_rate", ""),
        ("train.precision=fp8", "train.precision", ""),
        ("seeds=[1, 1]", "seeds: 1 is listed twice", ""),
        ("data.test=[set5, set5]", "data.test: set5 is listed twice", ""),
        ("evaluate.metrics=[psnr_y, ssim_y, psnr_y]", "evaluate.metrics: psnr_y is listed twice", ""),
        ("params.hkd.hkd.weight=1", "params.hkd.hkd: must be a number, true, false or text", ""),
        ("params.rkd+hkd=1", "params.rkd+hkd: must be a mapping of keys, not 1", ""),
        ("methods=[none, none]", "methods: none is listed twice", ""),
        ("methods=[rkd+hkd, hkd+rkd]", "methods: rkd+hkd and hkd+rkd are the same", ""),
        ("claims=[{claim: c, gain: [hkd, hkd]}]", "claims.0.gain: hkd is listed twice", ""),
        ("student.scale=3", "data.scale is 2, but a network's scale is 3", ""),
        ("name=../x", "name: must have at most 64 letters", ""),
        (
            "student.arch=rcann",
            "student.arch: must be rcan, or a class as package.module:Class, not 'rcann'",
            "mynets.small",
        ),
        ("evaluate.metrics=[psnr_rgb]", "psnr_rgb is not measured by protocol y@1", ""),
        ("evaluate.metrics=[psnr]", "must be 'psnr_y', 'ssim_y' or 'psnr_rgb', not 'psnr'", ""),
        ("evaluate.protocol=y@0", "evaluate.protocol: must be 'y@1' or 'rgb@1', not 'y@0'", ""),
        ("seeds=[1", "--set seeds: ", ""),
        ("seeds", "--set takes KEY=VALUE", "--set train.steps=200"),
        ("train.=1", "--set takes KEY=VALUE, not 'train.=1'", ""),
        ("\x1b[31m=1", r"--set takes KEY=VALUE, not '\x1b[31m=1'", ""),
        ("\udcff=1", r"--set takes KEY=VALUE, not '\udcff=1'", ""),
        ("a" * 99_999, "--set takes KEY=VALUE", ""),
        ("a." * 30_000 + "b=1", "no key is nested that deep", "params.ckd.weight"),
        ("methods.x=1", "--set methods.x: 'methods' has no keys", ""),
        ("name=\udcff", "--set name: special characters are not allowed", ""),
        ("train.steps=0x" + "f" * 99_999, "train.steps: must be a whole number", ""),
        ("train.steps=010", "train.steps: must be a whole number, not '010'", ""),
        ("train.steps=1:30", "train.steps: must be a whole number, not '1:30'", ""),
        (
            "train={epochs: 999999999999999999, steps_per_epoch: 999999999999999999}",
            "train.steps: must be at most 100,000,000",
            "",
        ),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, setting: str, message: str, hint: str) -> None:
    with pytest.raises(SrkdError) as error:
        load(tmp_path, setting)
    assert message in error.value.message
    assert hint in error.value.hint
    assert error.value.message.isprintable()
    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE + "seeds: [0]\nseeds: [1]\n", "key 'seeds' is given twice, line 9"),
        (BASE + "a: &a [1]\nb: *a\n", "aliases are not allowed"),
        ("- 1", "a suite must be a mapping"),
        ("a: [", "line 1"),
        (BASE + "x: " + "[" * 2000, "nested too deep"),
        ("#" * 100_001, "larger than 100,000 bytes"),
        (BASE + "x: !!python/object/apply:os.getcwd []", "tags are not allowed, line 8"),
        (BASE + "x: &a [*a]\n", "aliases are not allowed, line 8"),
        *((BASE + f"x: {tag}\n", "tags are not allowed, line 8") for tag in ('!!int ""', "!!bool x", "! x")),
        ("%TAG ! tag:yaml.org,2002:\n---\nx: !timestamp x", "tags are not allowed, line 3"),
        *((BASE + f"? {key}\n: 1\n", "a key must be a word, line 8") for key in ("[1]", "{a: 1}", "[[[]]]")),
        *((BASE + f"{key}: 1\n", "keys must be text") for key in ("1", "~", "true", "1.5")),
        (BASE + "params: {1: {a: 1}}", "params.1.[key]: must be text, not 1"),
        *((BASE + f"<<: {value}\n", "could not determine") for value in ("{a: 1}", "[]", "1")),
        *(
            (BASE + f'"{escape}": 1\n', "characters that cannot be printed are not allowed, line 8")
            for escape in (r"\e[31m", r"\0", r"\n", r"\ud800", r"\u202e", r"\x9b")
        ),
        (BASE.replace("photos,", '"../\\e",'), "characters that cannot be printed are not allowed, line 3"),
        (BASE + "x: \0", "special characters are not allowed"),
        (
            BASE.replace("10}", "1" + 5000 * "0" + "}"),
            "train.steps: must be a whole number, not '1000",
        ),
        (
            BASE.replace("10}", "0x" + 9999 * "f" + "}"),
            "train.steps: must be a whole number, not '0xf",
        ),
        (BASE + "params: {ckd: {weight: 1e400}}\n", "not inf"),
        (BASE + f"params: {{ckd: {{weight: {99_000 * '9'}.0}}}}\n", "not inf"),
        (BASE.replace("mine", "a" * 90_000), "name: must have at most 64 letters"),
        (BASE + f"? {90_000 * 'a'}\n: 1\n", "no key in"),
        (BASE + f"x: {90_000 * '!'}\n", "tags are not allowed"),
        (BASE + "? " * 40_000, "nested too deep"),
        (BASE + "- " * 40_000, "line 8"),
        ("name: mine\n---\nname: other\n", "another document, line 2"),
        ("", "a suite must be a mapping"),
    ],
)
def test_a_broken_suite_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SrkdError) as error:
        load(tmp_path, text=text)
    assert message in error.value.message
    assert error.value.message.isprintable()
    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    ("teachers", "message"),
    [
        ("{a: 1}", "teachers: must be a list"),
        ("[{weights: a.pt}, b.pt]", "teachers.1: must be a mapping of keys, not 'b.pt'"),
        ("[{weights: a.pt}]", "teachers: must have at least 2 entries, not 1"),
    ],
)
def test_teachers_that_are_no_list_of_teachers_are_named(tmp_path: Path, teachers: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    lines = [line for line in BASE.splitlines() if not line.startswith("teacher:")]
    path.write_text("\n".join([*lines, f"teachers: {teachers}"]), encoding="utf-8")
    with pytest.raises(SrkdError) as error:
        load_suite(str(path))
    assert message in error.value.message
    assert error.value.hint.startswith("for example teachers=[")


def test_an_unknown_key_is_listed_with_those_that_a_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(SrkdError) as error:
        load(tmp_path, "zzz=1")
    assert "grid" in error.value.hint
    assert "student_init" not in error.value.hint


def test_a_suite_file_that_is_named_without_its_suffix_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.yaml", "mine.txt"):
        Path(name).write_text(BASE, encoding="utf-8")
    with pytest.raises(SrkdError, match="no suite named 'mine'") as error:
        load_suite("mine")
    assert error.value.hint == "did you mean 'mine.yaml'?"
    with pytest.raises(SrkdError, match=r"'mine.txt' is not a suite: .* ends in .yaml"):
        load_suite("mine.txt")
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(SrkdError, match="no suite named"):
            load_suite(name)


def test_yaml_with_a_bom_and_crlf_is_read_and_other_encodings_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load_suite(str(path)) == load(tmp_path)
    for encoding in ("utf-16", "latin-1"):
        path.write_bytes((BASE + "# é").encode(encoding))
        with pytest.raises(SrkdError, match="not UTF-8 text"):
            load_suite(str(path))


def test_dates_are_read_as_text(tmp_path: Path) -> None:
    assert load(tmp_path, "name=2024-01-01", "data.train=2001-99-99").data.train == "2001-99-99"


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    for name in ("a" * 300 + ".yaml", "a\0.yaml", f"{tmp_path}.yaml/x.yaml"):
        with pytest.raises(SrkdError, match=r"no suite file|cannot read suite file"):
            load_suite(name)


def test_the_largest_file_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(SrkdError, match="named 'x'"):
        load(tmp_path, text=BASE + "x: [" + "a," * 49_800 + "]\n")


def test_networks_report_parameters_and_multiply_adds() -> None:
    teacher, student = ModelSpec(n_feats=256, n_resblocks=32), ModelSpec(n_feats=64, n_resblocks=16)
    assert (teacher.parameters, student.parameters) == (40_729_603, 1_369_859)
    assert student.model_copy(update={"scale": 4}).parameters == 1_517_571
    assert round(teacher.multiply_adds * 48 * 48 / 1e9, 1) == 93.8

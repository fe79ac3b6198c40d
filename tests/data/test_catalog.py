from srkd_bench.data.catalog import choose


def test_the_catalogs_patterns_choose_the_right_images() -> None:
    bsds = [
        f"BSDS500/data/images/{part}.jpg"
        for part in ("train/100075", "test/2018", "val/101085", "train/302003")
    ]
    assert choose("bsds500", bsds) == bsds[:2]
    div2k = [f"DIV2K_train_HR/{i:04}.png" for i in (0, 1, 799, 800, 801, 900, 901)]
    assert choose("div2k", div2k) == div2k[1:4]
    assert choose("div2k-valid", div2k) == div2k[4:6]
    assert choose("div2k", ["x/0001x2.png"]) == []
    both = ["benchmark/B100/HR/1.png", "benchmark/Set5/HR/baby.png", "benchmark/Set14/HR/lenna.png"]
    assert [choose(name, both) for name in ("bsd100", "set5", "set14")] == [[path] for path in both]
    assert choose("set5", ["anything/baby.png"]) == ["anything/baby.png"]

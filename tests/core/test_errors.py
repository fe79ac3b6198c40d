from srkd_bench.core.errors import LISTED, unknown


def test_a_name_that_is_not_known_gets_the_nearest_or_the_first_of_those_that_are() -> None:
    assert unknown("method", "hdk", ["none", "hkd"]).hint == "did you mean 'hkd'?"
    assert unknown("method", "x", ["none", "hkd"]).hint == "known: hkd, none"
    many = [f"{i:04}" for i in range(1000)]
    assert unknown("image", "x", many).hint == f"known: {', '.join(many[:LISTED])}, … (1,000 in all)"

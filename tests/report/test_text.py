import pytest

from limbeck.report import text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (text.percent(0.8123), "81.2 %"),
        (text.percent(None), "\N{EN DASH}"),
        (text.percent(float("nan")), "\N{EN DASH}"),
        (text.points(-0.0132), "\N{MINUS SIGN}1.3"),
        (text.points(0.0004), "+0.04"),
        (text.points(0.0), "0.0"),
        (text.spread(0.81234, 0.0051), "81.23 ± 0.51 %"),
        (text.spread(0.81234, None), "81.23 %"),
        (text.duration(8.25), "8.2 s"),
        (text.duration(148.2), "2 min 28 s"),
        (text.duration(59.7), "60 s"),
        (text.duration(6120), "1 h 42 min"),
        (text.energy(0.0011), "1.10 Wh"),
        (text.energy(2.5), "2.50 kWh"),
        (text.large(269_722), "269.72 k"),
        (text.number(-1234567), "\N{MINUS SIGN}1,234,567"),
        (text.number(-0.001, 2), "0.00"),
        (text.plural(1, "seed"), "1 seed"),
        (text.listing(["a", "b", "c"]), "a, b and c"),
        (text.name("balanced-random"), "balanced random"),
        (text.name("mine"), "mine"),
        (text.name_of(1, ["cat", "dog"]), "dog"),
        (text.name_of(2, ["cat", "dog"]), "2"),
        (text.short(-7.534e-7), "\N{MINUS SIGN}7.53e\N{MINUS SIGN}07"),
        (text.short(16_256.25), "16,256"),
        (text.figures_for(5.2)(4.9213), "4.92"),
        (text.figures_for(0.05)(4.9213), "4.9213"),
        (text.figures_for(9000)(512.3), "512"),
        (text.figures_for(0.0)(2.5), "2.5000"),
    ],
)
def test_numbers_read_well(words: str, expected: str) -> None:
    assert words == expected

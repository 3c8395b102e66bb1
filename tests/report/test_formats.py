import pytest

from limbeck.report import formats


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (formats.percent(0.8123), "81.2 %"),
        (formats.percent(None), "\N{EN DASH}"),
        (formats.percent(float("nan")), "\N{EN DASH}"),
        (formats.points(-0.0132), "\N{MINUS SIGN}1.3"),
        (formats.points(0.0004), "+0.04"),
        (formats.points(0.0), "0.0"),
        (formats.p_value(0.0004), "< 0.001"),
        (formats.p_value(0.0321), "0.032"),
        (formats.p_value(0.349), "0.35"),
        (formats.p_value(None), "\N{EN DASH}"),
        (formats.spread(0.81234, 0.0051), "81.23 ± 0.51 %"),
        (formats.spread(0.81234, None), "81.23 %"),
        (formats.duration(8.25), "8.2 s"),
        (formats.duration(148.2), "2 min 28 s"),
        (formats.duration(59.7), "60 s"),
        (formats.duration(6120), "1 h 42 min"),
        (formats.energy(0.0011), "1.10 Wh"),
        (formats.energy(2.5), "2.50 kWh"),
        (formats.large(269_722), "269.72 k"),
        (formats.number(-1234567), "\N{MINUS SIGN}1,234,567"),
        (formats.number(-0.001, 2), "0.00"),
        (formats.plural(1, "seed"), "1 seed"),
        (formats.listing(["a", "b", "c"]), "a, b and c"),
        (formats.plural_of("cluster"), "clusters"),
        (formats.plural_of("class"), "classes"),
        (formats.plural_of("stratum"), "strata"),
        (formats.plural_of("category"), "categories"),
        (formats.plural_of("day"), "days"),
        (formats.name_of(1, ["cat", "dog"]), "dog"),
        (formats.name_of(2, ["cat", "dog"]), "2"),
        (formats.short(-7.534e-7), "\N{MINUS SIGN}7.53e\N{MINUS SIGN}07"),
        (formats.short(16_256.25), "16,256"),
        (formats.figures_for(5.2)(4.9213), "4.92"),
        (formats.figures_for(0.05)(4.9213), "4.9213"),
        (formats.figures_for(9000)(512.3), "512"),
        (formats.figures_for(0.0)(2.5), "2.5000"),
    ],
)
def test_numbers_read_well(words: str, expected: str) -> None:
    assert words == expected

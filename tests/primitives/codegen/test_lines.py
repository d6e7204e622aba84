from primitives.codegen.lines import needed

LINES = ("a, b = pred", "c = a + 1e-7", "d = c * b", "e = 2 * other", "f, g = d, e")


def test_lines_come_with_what_they_read_in_their_order() -> None:
    assert needed(LINES, ["d"]) == ["a, b = pred", "c = a + 1e-7", "d = c * b"]
    assert needed(LINES, ["g"]) == list(LINES)
    assert needed(LINES, ["e"]) == ["e = 2 * other"]


def test_the_exponent_of_a_number_is_no_name() -> None:
    assert needed(LINES, ["c"]) == ["a, b = pred", "c = a + 1e-7"]


def test_an_argument_has_no_line() -> None:
    assert needed(LINES, ["other", "pred"]) == []

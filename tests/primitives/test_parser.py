"""Hostile text: it is a formula, or an error of one line; it runs no code and takes no time."""

import random
import sys

import pytest

from primitives.catalog import GRAMMARS, find_grammar
from primitives.expression import Expression
from primitives.forms.infix import infix
from primitives.parser import MAX_NESTING, MAX_TEXT, GrammarError, read

PIECES = (
    *("i", "u", "e", "d", "x", "y", "w", "p", "iou", "giou", "NY", "Q", "1", "2", "0.5", "1e-12", "1e999", ".5", "0"),
    *("+", "-", "*", "/", "**", "(", ")", ",", " ", "\n", "\t", "**2", "**-1", "**0.5", "(((", ")))", "- -", "//"),
    *("log(", "exp(", "min(", "max(", "softmax(", "dot(", "sqrt(", "Neg(", "Add(", "erf(", "e**", "1/"),
    *("__import__('os')", ".__class__", "eval(", "exec", "lambda: 0", "os.system", "[i]", "{u}", "i:=1", "@", "%", "^"),
    *("\x00", "\u0661", "\ud800", "\u202e", "\\", "'", '"', "#", ";", "=", "<", "&", "|", "~", "!", "nan", "inf"),
    *("True", "None", "0x10", "1_0", "1j", "f'{i}'", "if", "for", "import", "_", "__", "A" * 30),
)


def hostile(rng: random.Random) -> str:
    """Text of pieces that belong and do not belong into formulas; sometimes a formula with a few letters changed."""
    if rng.random() < 0.3:
        text = list(rng.choice(("1 - i/u", "-log(i/u)**2", "(y - p)**2*log(p)", "neg(add(i, u))", "1-giou+d*0.5")))
        for _ in range(rng.randrange(4)):
            text[rng.randrange(len(text))] = rng.choice(PIECES)
        return "".join(text)
    if rng.random() < 0.02:
        return rng.choice(PIECES) * rng.randrange(400) + "i"
    return "".join(rng.choices(PIECES, k=rng.randrange(12)))


def attack(count: int) -> int:
    """So many hostile texts; how many of them are formulas."""
    rng, names, formulas = random.Random(17), list(GRAMMARS), 0
    running = False

    def watch(event: str, _: object) -> None:
        if running and event in ("compile", "exec", "import", "open", "os.system", "subprocess.Popen"):
            raise AssertionError(f"{event} while a formula was read")

    sys.addaudithook(watch)
    try:
        running = True
        for _ in range(count):
            words = GRAMMARS[rng.choice(names)].words
            text = hostile(rng)
            try:
                expression = read(text, words)
            except GrammarError as error:
                message = str(error)
                assert "\n" not in message, text
                assert len(message) < 1_000, text  # of escapes six for a character
            else:
                formulas += 1
                assert isinstance(expression, Expression)
                assert expression.depth <= MAX_NESTING
                assert len(expression.text) <= MAX_TEXT
                assert read(expression.text, words) == expression
    finally:
        running = False
    return formulas


def test_twenty_thousand_hostile_texts_are_formulas_or_errors_of_one_line_and_run_no_code() -> None:
    assert attack(20_000) > 500


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_million_hostile_texts_are_formulas_or_errors_of_one_line_and_run_no_code() -> None:
    assert attack(1_000_000) > 25_000


@pytest.mark.parametrize(
    "text", ["((" * 30 + "i" + "**8)**8" * 30, "i" + "**8" * 64, "-" * 64 + "i", "(" * 64 + "i" + ")" * 64]
)
def test_what_text_stands_for_can_be_read_from_its_own_text_or_is_refused(text: str) -> None:
    box = GRAMMARS["box"]
    try:
        expression = box.parse(text)
    except GrammarError:
        return
    assert box.parse(str(expression)) == expression
    assert box.parse(infix(expression)) == expression


def test_powers_do_not_grow_beyond_what_text_may_hold() -> None:
    text = "i + u"
    for _ in range(20):
        text = f"({text})**7"
    with pytest.raises(GrammarError, match="longer than 20000 characters in full|nested deeper than 64"):
        GRAMMARS["box"].parse(text)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("(i/u)**1.5", "pow(div(i, u), 1.5)"),
        ("i**-0.3", "pow(i, neg(0.29999999999999999))"),
        ("f**(-0.5*t)", "pow(f, mul(neg(0.5), t))"),
        ("i**2", "square(i)"),
        ("i**0.5", "sqrt(i)"),
        ("pow(i, 2)", "pow(i, 2)"),
        ("stop(i)*u", "mul(stop(i), u)"),
    ],
)
def test_powers_of_any_exponent_are_read_where_the_grammar_has_them(text: str, calls: str) -> None:
    wide = GRAMMARS["box_wide"]
    assert str(wide.parse(text)) == calls
    assert wide.parse(infix(wide.parse(text))) == wide.parse(text)


def test_other_grammars_read_what_they_read() -> None:
    with pytest.raises(GrammarError, match="a power that is not in the language"):
        GRAMMARS["box"].parse("(i/u)**1.5")
    with pytest.raises(GrammarError, match="unknown name 'stop'"):
        GRAMMARS["box"].parse("stop(i)")


def test_a_text_without_a_grammar_is_of_the_first_that_has_all_of_it() -> None:
    assert find_grammar("1 - i/u").name == "box"
    assert find_grammar("1 - (i/u)**1.5").name == "box_wide"
    assert find_grammar("stop(i/u)*(1 - i/u)").name == "box_wide"
    with pytest.raises(GrammarError, match="unknown name 'foo' .* in grammar box"):
        find_grammar("1 - i/foo")

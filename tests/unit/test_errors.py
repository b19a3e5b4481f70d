"""What a terminal is shown of names that nobody chose for terminals."""

import pytest

from fusekit.errors import one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\rb\x00\x7f\x9b31m", r"a\x0db\x00\x7f\x9b31m"),
        ("gpj.\u202eexe\u2066", r"gpj.\u202eexe\u2066"),
        ("caf\udce9", r"caf\udce9"),
        ("two\u2028lines", r"two\u2028lines"),
        ("Jörg 日本 👩\u200d🔬 שלום", "Jörg 日本 👩\u200d🔬 שלום"),
        ("[bold]x[/]", "[bold]x[/]"),
    ],
)
def test_what_would_move_the_cursor_is_shown(text: str, shown: str) -> None:
    assert printable(text) == one_line(text) == shown
    shown.encode()


def test_line_breaks_stay_in_a_message_and_not_in_a_name() -> None:
    assert printable("a\n\tb") == "a\n\tb"
    assert one_line("a\n\tb") == r"a\n\tb"

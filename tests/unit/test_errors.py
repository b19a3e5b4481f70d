"""Messages stay readable, whatever a damaged file holds."""

from __future__ import annotations

from fusekit.errors import LONGEST_WORD, DataError


def test_an_endless_word_of_a_file_is_cut_off_in_a_message() -> None:
    said = str(DataError(f"a.csv, line 3: '{'a' * 70_000}' is no number. Mend it."))
    assert said.startswith("a.csv, line 3: 'aaa")
    assert said.endswith("... is no number. Mend it.")
    assert len(said) < LONGEST_WORD
    path = "/".join(["folder"] * 50)
    assert str(DataError(f"{path}: no such file")) == f"{path}: no such file"

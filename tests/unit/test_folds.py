"""Splits: disjoint by subject and session, deterministic, stored and read again."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusekit.contracts import Clip
from fusekit.data.folds import PARTS, Split, assign, verify
from fusekit.errors import DataError


def clips_of(*rows):
    """(subject, session, split) per clip."""
    return [Clip(f"c{i:03d}", s, {}, None, session, split) for i, (s, session, split) in enumerate(rows)]


def subjects(n, each=3):
    return clips_of(*[(f"s{i}", "", "") for i in range(n) for _ in range(each)])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 30)), min_size=1, max_size=60),
    st.integers(2, 6),
    st.floats(0.05, 0.5),
    st.integers(0, 99),
)
def test_no_subject_and_no_session_is_in_two_parts(rows, folds, validation, seed):
    # Session 0..9 of a corpus are dyads, the rest are alone.
    clips = clips_of(*[(f"s{s}", f"d{d}" if d < 10 else "", "") for s, d in rows])
    try:
        splits = [assign(clips, folds=folds, fold=k, validation=validation, seed=seed) for k in range(folds)]
    except DataError:
        return  # too few groups: tested below
    by_id = {c.id: c for c in clips}
    for split in splits:
        everything = [i for name in PARTS for i in split.part(name)]
        assert sorted(everything) == sorted(by_id)
        assert all(split.part(name) for name in PARTS)
        for field in ("subject", "session"):
            seen = [{getattr(by_id[i], field) for i in split.part(name)} - {""} for name in PARTS]
            assert sum(map(len, seen)) == len(set().union(*seen))
    tested = [i for split in splits for i in split.test]
    assert sorted(tested) == sorted(by_id)  # every clip is tested exactly once


def test_partners_of_a_dyad_stay_together_even_through_a_third():
    clips = clips_of(
        ("a", "1", ""), ("b", "1", ""), ("b", "2", ""), ("c", "2", ""), *[(f"s{i}", "", "") for i in range(9)]
    )
    for fold in range(3):
        split = assign(clips, folds=3, fold=fold)
        assert any({"c000", "c001", "c002", "c003"} <= set(split.part(name)) for name in PARTS)


def test_folds_are_balanced_and_validation_has_its_share():
    clips = subjects(20, each=5)
    for fold in range(5):
        split = assign(clips, folds=5, fold=fold, validation=0.25)
        assert (len(split.train), len(split.validation), len(split.test)) == (60, 20, 20)


def test_a_large_subject_does_not_upset_the_other_folds():
    clips = clips_of(*[("big", "", "")] * 20, *[(f"s{i}", "", "") for i in range(40)])
    sizes = [len(assign(clips, folds=3, fold=k).test) for k in range(3)]
    assert sorted(sizes) == [20, 20, 20]


def test_the_seed_decides_and_the_order_of_clips_does_not():
    clips = subjects(12)
    first = assign(clips, folds=4, fold=1, seed=3)
    assert assign(clips[::-1], folds=4, fold=1, seed=3) == first
    assert any(assign(clips, folds=4, fold=1, seed=s).test != first.test for s in range(4, 8))


def test_the_corpus_split_is_used_as_it_is():
    clips = clips_of(("a", "", "train"), ("b", "", "validation"), ("c", "", "test"))
    split = assign(clips)
    assert (split.train, split.validation, split.test) == (("c000",), ("c001",), ("c002",))
    assert split.subjects["test"] == ("c",)
    assert "corpus" in split.how


def test_a_corpus_split_without_validation_has_it_carved_out_of_train():
    clips = clips_of(*[(f"s{i}", "", "train") for i in range(10)], ("x", "", "test"))
    split = assign(clips, validation=0.2)
    assert len(split.validation) == 2
    assert split.test == ("c010",)
    assert "carved" in split.how


def test_a_subject_in_two_splits_is_named_with_both_clips():
    clips = clips_of(("a", "", "train"), ("b", "", "validation"), ("a", "", "test"))
    with pytest.raises(
        DataError, match=r"subject a .*c000 in train, clip c002 in test.*subject_dependent=true"
    ):
        assign(clips)
    allowed = assign(clips, subject_dependent=True)
    assert allowed.subject_dependent
    assert "subject-dependent" in allowed.how


def test_a_session_in_two_splits_is_named():
    clips = clips_of(("a", "d1", "train"), ("b", "d1", "test"), ("c", "", "validation"))
    with pytest.raises(DataError, match="session d1"):
        assign(clips)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("a", "", "train"), ("b", "", "")], {}, "1 of 2 clips have no split, first c001"),
        ([("a", "", "dev")], {}, "not 'dev'"),
        ([("a", "", "test"), ("b", "", "validation")], {}, "no clip is left for training"),
        ([("a", "", "")] * 9, {}, "split.subject_dependent=true"),
        ([("a", "", ""), ("b", "", "")], {"folds": 2}, "carved.*more subjects"),
        ([("a", "", "train"), ("b", "", "test")], {}, "carved.*name validation clips"),
        ([("a", "", "")] * 9, {"fold": 5}, "split.fold=5: with"),
        ([], {}, "no clip"),
    ],
)
def test_faults_say_what_to_set(rows, options, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        assign(clips_of(*rows), **options)


def test_subject_dependent_folds_divide_one_subject_by_clip_or_session():
    split = assign(clips_of(*[("a", "", "")] * 20), subject_dependent=True)
    assert len(split.test) == 4
    assert split.subjects["train"] == split.subjects["test"] == ("a",)
    clips = clips_of(*[("a", f"d{i // 4}", "") for i in range(20)])
    split = assign(clips, subject_dependent=True)
    session = {c.id: c.session for c in clips}
    assert not {session[i] for i in split.test} & {session[i] for i in split.train}


def test_a_stored_split_is_read_again_and_checked():
    clips = subjects(10)
    split = assign(clips, seed=int(np.random.default_rng(0).integers(100)))
    stored = json.loads(json.dumps(split.to_json()))
    again = Split.from_json(stored)
    assert again == split
    verify(again, clips)
    with pytest.raises(DataError, match="in no part of it"):
        verify(again, [*clips, Clip("new", "s99", {}, None)])
    stored["test"].append(stored["train"][0])
    with pytest.raises(DataError, match="two parts"):
        verify(Split.from_json(stored), clips)
    with pytest.raises(DataError, match="has no test"):
        Split.from_json({k: v for k, v in stored.items() if k != "test"})

"""Arguments of a call in JSON, found while they are being written."""

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qcode.codec.members import Members, Strings

CHARACTERS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(list('"\\{}[],:\n')), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | CHARACTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CHARACTERS, inner, max_size=3),
    max_leaves=6,
)


def read(text: str, sizes: random.Random) -> dict[str, Any]:
    members = Members()
    found: dict[str, Any] = {}
    position = 0
    while position < len(text):
        size = sizes.choice((1, 1, 2, 3, 8, 40))
        for member in members.feed(text[position : position + size]):
            found |= json.loads(f"{{{member}}}")
        position += size
    assert members.closed == text.startswith("{")
    return found


@given(st.dictionaries(CHARACTERS, VALUES, max_size=5), st.sampled_from([None, 2]), st.booleans(), st.randoms())
def test_an_object_in_any_pieces_gives_all_its_members(arguments, indent, ascii_only, sizes) -> None:
    text = json.dumps(arguments, indent=indent, ensure_ascii=ascii_only)
    assert read(text, sizes) == arguments


def test_a_member_is_there_as_soon_as_the_next_one_begins() -> None:
    members = Members()
    assert list(members.feed('{"path": "a,}.py')) == []
    assert list(members.feed('"')) == []
    assert list(members.feed(", ")) == ['"path": "a,}.py"']
    assert list(members.feed('"old_str": ["x", {"y": 1}], "new')) == ['"old_str": ["x", {"y": 1}]']
    assert not members.closed
    assert list(members.feed('_str": ""}, "more": 1}')) == ['"new_str": ""']
    assert members.closed


def test_what_is_no_object_has_no_members() -> None:
    for text in ('"{\\"path\\": 1, \\"a\\": 2}"', "", "null", "1, 2", "[1, 2]"):
        assert list(Members().feed(text)) == []
    for text in ("}", "]{", '{"a": 1}}}', "{{{{", '{"a" 1,,}'):
        list(Members().feed(text))


@given(st.text('{}[]",\\ab:', max_size=40), st.randoms())
def test_no_text_raises(text: str, sizes: random.Random) -> None:
    members = Members()
    for character in text:
        for member in members.feed(character):
            assert len(member) <= len(text)


def texts(text: str, sizes: random.Random) -> dict[str, str]:
    strings = Strings()
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        size = sizes.choice((1, 1, 2, 3, 8, 40))
        for name, more in strings.feed(text[position : position + size]):
            found[name] = found.get(name, "") + more
        position += size
    return found


@given(st.dictionaries(CHARACTERS, VALUES, max_size=5), st.sampled_from([None, 2]), st.booleans(), st.randoms())
def test_the_texts_of_an_object_come_whole_in_any_pieces(arguments, indent, ascii_only, sizes) -> None:
    text = json.dumps(arguments, indent=indent, ensure_ascii=ascii_only)
    assert texts(text, sizes) == {name: value for name, value in arguments.items() if isinstance(value, str) and value}


def test_a_text_is_there_while_it_is_written() -> None:
    strings = Strings()
    assert list(strings.feed('{"path": "a')) == [("path", "a")]
    assert list(strings.feed('.py", "new_code": "def f():\\')) == [("path", ".py"), ("new_code", "def f():")]
    assert list(strings.feed("n  return \\ud83d")) == [("new_code", "\n  return ")]
    assert list(strings.feed('\\ude00"')) == [("new_code", "😀")]
    assert list(strings.feed(', "edits": [{"new": "x"}], "n": 1}')) == []


@given(st.text('{}[]",\\ab:u0', max_size=40), st.randoms())
def test_what_is_no_json_does_no_harm(text: str, sizes: random.Random) -> None:
    texts(text, sizes)
    texts(f'{{"a": "{text}', sizes)

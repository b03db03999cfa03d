"""Files keep every byte that an edit did not mean to change."""

import codecs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qcode_tools.document import NotText, common_prefix, decode

ENCODINGS = {
    "utf-8": (b"", "utf-8"),
    "utf-8 with mark": (codecs.BOM_UTF8, "utf-8"),
    "utf-16-le": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-16-be": (codecs.BOM_UTF16_BE, "utf-16-be"),
    "utf-32-le": (codecs.BOM_UTF32_LE, "utf-32-le"),
    "latin-1": (b"", "latin-1"),
    "gbk": (b"", "gbk"),
}
ENDS = st.sampled_from(["\n", "\r\n"])


@given(data=st.binary(max_size=300))
@example(b"\r\r\n\n\r")
@example(b"caf\xe9\r\nna\xefve\n")
@example(codecs.BOM_UTF8 + b"\xff")
@example(codecs.BOM_UTF16_LE + b"\x00")
def test_whatever_is_read_as_text_is_written_back_the_same(data: bytes) -> None:
    try:
        document = decode(data)
    except NotText:
        return
    assert document.encode() == data


@given(
    lines=st.lists(st.tuples(st.text("abc äé", max_size=6), ENDS), min_size=1, max_size=12),
    last=st.text("xyz", max_size=3),
    name=st.sampled_from(["utf-8", "utf-8 with mark", "utf-16-le", "utf-16-be", "utf-32-le", "latin-1"]),
    data=st.data(),
)
def test_bytes_outside_the_edited_lines_do_not_change(
    lines: list[tuple[str, str]], last: str, name: str, data: st.DataObject
) -> None:
    bom, codec = ENCODINGS[name]
    raw = [(line + end).encode(codec) for line, end in lines]
    whole = bom + b"".join(raw) + last.encode(codec)
    try:
        document = decode(whole)
    except NotText:
        pytest.fail("text was taken for binary")
    first = data.draw(st.integers(0, len(lines) - 1))
    until = data.draw(st.integers(first, len(lines) - 1))
    new = data.draw(st.text("qr\n", max_size=8))
    starts = [0]
    texts = document.text.split("\n")
    for line in texts:
        starts.append(starts[-1] + len(line) + 1)
    edited = document.splice(starts[first], starts[until] + len(texts[until]), new).encode()
    assert edited.startswith(bom + b"".join(raw[:first]))
    kept = lines[until][1].encode(codec) + b"".join(raw[until + 1 :]) + last.encode(codec)
    assert edited.endswith(kept)


@pytest.mark.parametrize("name", ENCODINGS)
def test_text_of_each_encoding_is_read_and_can_be_extended(name: str) -> None:
    bom, codec = ENCODINGS[name]
    text = "名字 = '中文字符'\n说明 = '这是一个测试'\n" if codec == "gbk" else "été = 'à la carte'\nnaïve = 'déjà vu'\n"
    document = decode(bom + text.encode(codec))
    assert document.text == text
    more = document.splice(len(text), len(text), text[:6])
    assert more.encode() == bom + (text + text[:6]).encode(codec)


def test_single_foreign_letters_are_not_taken_for_chinese() -> None:
    text = "Die fünf Äpfel für Jürgen kosten Überraschung, naïve façade, señor\n"
    assert decode(text.encode("latin-1")).text == text


def test_new_lines_take_the_line_end_that_the_file_mostly_has() -> None:
    document = decode(b"a\r\nb\r\nc\nd\r\n")
    at = document.text.index("c")
    assert document.splice(at, at + 1, "c1\nc2").encode() == b"a\r\nb\r\nc1\r\nc2\nd\r\n"


def test_a_declared_encoding_is_believed_when_it_fits() -> None:
    text = "# -*- coding: cp1251 -*-\nимя = 1\n"
    assert decode(text.encode("cp1251")).text == text


def test_utf8_with_a_broken_byte_stays_utf8() -> None:
    data = "naïve café ".encode() + b"\xff\n"
    document = decode(data)
    assert document.text.startswith("naïve café ")
    assert document.splice(0, 0, "é").encode() == "é".encode() + data


@pytest.mark.parametrize("data", [b"\x7fELF\x00\x01", b"a\x00b", codecs.BOM_UTF16_LE + b"a\0b"])
def test_binary_data_is_refused(data: bytes) -> None:
    with pytest.raises(NotText):
        decode(data)


def test_a_character_that_the_encoding_lacks_is_an_error_and_not_a_question_mark() -> None:
    document = decode("déjà\n".encode("latin-1"))
    with pytest.raises(UnicodeEncodeError):
        document.splice(0, 0, "中").encode()


@given(a=st.text("ab", max_size=20), b=st.text("ab", max_size=20))
def test_common_prefix(a: str, b: str) -> None:
    length = common_prefix(a, b)
    assert a[:length] == b[:length]
    assert a[length : length + 1] != b[length : length + 1] or length == len(a) == len(b)

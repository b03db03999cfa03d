"""The kept part of a command's output."""

from hypothesis import given
from hypothesis import strategies as st

from qcode_sandbox.output import Output


@given(st.lists(st.binary(max_size=40)), st.integers(min_value=2, max_value=60))
def test_head_and_tail_whatever_the_pieces(pieces: list[bytes], limit: int) -> None:
    whole = b"".join(pieces)
    seen: list[str] = []
    output = Output(limit, seen.append)
    for piece in pieces:
        output.add(piece)
    assert output.truncated == (len(whole) > limit)
    if not output.truncated:
        assert output.raw() == whole
        assert output.text() == whole.decode(errors="replace")
        return
    head, note, tail = output.text().partition(f"\n[{len(whole) - limit} bytes left out]\n")
    assert note
    assert whole[: limit - limit // 2].decode(errors="replace").startswith(head)
    assert whole[len(whole) - limit // 2 :].decode(errors="replace").endswith(tail)


@given(st.text(), st.integers(min_value=1, max_value=5))
def test_watcher_sees_whole_characters(text: str, size: int) -> None:
    data = text.encode(errors="replace")
    seen: list[str] = []
    output = Output(10**6, seen.append)
    for start in range(0, len(data), size):
        output.add(data[start : start + size])
    assert "".join(seen) == data.decode()

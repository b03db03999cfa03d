"""Answers that are not written as they should be, by kind, each with what the format's rules read in it."""

import random
from collections.abc import Callable

from answers import Answer, Call, Kind, body, code, one, plain, plan, prose, shell, text_of, whole, writing

Make = Callable[[random.Random], Answer]


def changed(change: Callable[[str], str], make: Callable[[random.Random], Call] = writing) -> Make:
    """A call whose text is changed, and which still is that call."""

    def answer(chance: random.Random) -> Answer:
        call = make(chance)
        return Answer(change(whole(call)), (call,))

    return answer


def swapped(old: str, new: str, *, last: bool = False) -> Make:
    return changed(lambda text: new.join(text.rsplit(old, 1)) if last else text.replace(old, new))


def behind(text: str, content: str = "") -> Make:
    return lambda chance: Answer(whole(call := writing(chance)) + text, (call,), content)


def shown(before: str, after: str) -> Make:
    """A call that is only shown."""

    def answer(chance: random.Random) -> Answer:
        text = f"{prose(chance)}\n{before}{whole(shell(chance))}{after}"
        return Answer(text, (), text)

    return answer


def in_a_line(chance: random.Random) -> Answer:
    text = f"{prose(chance)} Write `{whole(shell(chance)).replace(chr(10), '')}` for it."
    return Answer(text, (), text)


def cut(where: str) -> Make:
    def answer(chance: random.Random) -> Answer:
        text = whole(writing(chance))
        return Answer(text[: text.index(where) + len(where) - 1])

    return answer


def cut_value(chance: random.Random) -> Answer:
    said, first = prose(chance), shell(chance)
    text = whole(("write_file", {"path": "a", "content": plain(chance) + "\nlast"}))
    return Answer(f"{said}\n\n{whole(first)}\n{text[: text.index('last')]}", (first,), said)


def two_in_one(chance: random.Random) -> Answer:
    calls = writing(chance), shell(chance)
    return Answer(f"<tool_call>\n{body(calls[0])}\n{body(calls[1])}\n</tool_call>", calls)


def twice_given(chance: random.Random) -> Answer:
    call = shell(chance)
    text = whole(call).replace("<parameter=", "<parameter=command>\nfirst\n</parameter>\n<parameter=", 1)
    return Answer(text, (call,))


def as_python(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def hermes(chance: random.Random) -> Answer:
    command = chance.choice(("ls", "pwd", "echo 1"))
    text = f'<tool_call>\n{{"name": "bash", "arguments": {{"command": "{command}"}}}}\n</tool_call>'
    return Answer(text, (("bash", {"command": command}),))


def mention(chance: random.Random) -> Answer:
    text = f"{prose(chance)} A call begins with <tool_call> and a name. {prose(chance)}"
    return Answer(text, (), text)


def thought(chance: random.Random) -> Answer:
    call, other = shell(chance), writing(chance)
    thinking = f"<think>\nI could write\n{whole(other)}\n</think>\n\n"
    return Answer(thinking + whole(call), (call,), thinking)


def between(chance: random.Random) -> Answer:
    call = writing(chance)
    return Answer(whole(call).replace("<tool_call>\n", "<tool_call>\nI write it:\n"), (call,))


FENCE = "vLLM runs a call that was only shown"
LITERAL = "vLLM lets the value end at the first such tag"
LOST = "vLLM drops the call or its last argument"
CASE = "the name is written in another way, and is that tool's all the same"

MALFORMED = (
    Kind("R1", "no <tool_call>", changed(lambda text: text.removeprefix("<tool_call>\n"))),
    Kind("R1", "no <tool_call> and no </tool_call>", lambda c: Answer(body(call := writing(c)), (call,))),
    Kind("R2", "no </tool_call>", changed(lambda text: text.removesuffix("\n</tool_call>"))),
    Kind("R2", "no </function>", swapped("</function>\n", "")),
    Kind("R2", "no </function> and no </tool_call>", changed(lambda t: t[: t.index("</function>")])),
    Kind("M3", "no </parameter> at the end", swapped("\n</parameter>", "", last=True), LOST),
    Kind("M3", "no </parameter> at all", swapped("\n</parameter>", ""), LOST),
    Kind("R2", "</content> for </parameter>", swapped("</parameter>", "</content>", last=True), LOST),
    Kind("R2", "</tool_response> for </parameter>", swapped("</parameter>", "</tool_response>", last=True), LOST),
    Kind("R3", "<tool_call> twice", changed(lambda text: "<tool_call>\n" + text)),
    Kind("R3", "</tool_call> twice", behind("\n</tool_call>"), "an orphan closing tag is no text"),
    Kind("R3", "</function> behind the call", behind("\n</function>"), "an orphan closing tag is no text"),
    Kind("R3", "text before the function", between),
    Kind("R4", "two functions in one wrapper", two_in_one),
    Kind("R5", "spaces in the header", swapped("<function=write_file>", "<function = write_file >"), CASE),
    Kind("R5", "quotes round the name", swapped("<function=write_file>", '<function="write_file">'), CASE),
    Kind("R5", "name attribute", swapped("<function=write_file>", '<function name="write_file">'), CASE),
    Kind("R5", "no > behind the name", swapped("<function=write_file>", "<function=write_file"), CASE),
    Kind("R5", "<parameter>name>", swapped("<parameter=", "<parameter>"), "the slip of small models"),
    Kind("R5", 'parameter name="…"', swapped("<parameter=content>", '<parameter name="content">'), CASE),
    Kind("R6", "an argument twice", twice_given, "streamed, vLLM writes both into one JSON object"),
    Kind("R7", "an undeclared tool", one(lambda c: ("deploy", {"where": "x"}))),
    Kind("R8", "<|im_end|> behind the call", behind("<|im_end|>")),
    Kind("R9", "Hermes JSON", hermes, "the other dialect of the same models: vLLM drops the call silently"),
    Kind("T5", "Python literals for JSON", one(plan(options=lambda c: {"a": [1, None], "b": True}), write=as_python),
        "the oldest template wrote them so, and models do"),
    Kind("T3", "NaN, 1e999, 1,000 for a number", one(lambda c: ("plan", {"title": "t", "ratio": c.choice(("NaN",
         "1e999", "1,000"))}))),
    Kind("T3", "1_000 for an integer", one(lambda c: ("plan", {"title": "t", "count": "1_000"})),
         "vLLM reads Python's literals here, JSON has none such"),
    Kind("T4", "0 and 1 for a boolean", one(lambda c: ("plan", {"title": "t", "done": c.choice("01")})),
         "only true and false are booleans; validation tells the model"),
    Kind("M1", "</parameter> in a sentence",
         one(text_of(lambda c: f"{code(c)}\nit ends at </parameter> here\n{plain(c)}")), LITERAL),
    Kind("M1", "</function> in a sentence", one(text_of(lambda c: f"so </function> is\n{plain(c)}")), LITERAL),
    Kind("M1", "</tool_call> in a sentence", one(text_of(lambda c: f"so </tool_call> is\n{plain(c)}"))),
    Kind("M2", "a whole call as an example", one(text_of(lambda c: f"Write:\n{whole(shell(c))}\n{plain(c)}")), LITERAL),
    Kind("X1", "cut off in a value", cut_value, "a call that was cut must not run with half a value"),
    Kind("X1", "cut off in the header", cut("<function=write"), "the rest of a tag is no name"),
    Kind("X1", "cut off in a parameter's name", cut("<parameter=con"),
         "a call that was cut must not run without its arguments"),
    Kind("X2", "cut off in </tool_call>", changed(lambda text: text.removesuffix("tool_call>"))),
    Kind("N1", "shown in a code fence", shown("```xml\n", "\n```\nThat is the form."), FENCE),
    Kind("N1", "shown between tildes", shown("~~~\n", "\n~~~\n"), FENCE),
    Kind("N2", "shown in inline code", in_a_line, FENCE),
    Kind("N3", "<tool_call> in prose", mention, "vLLM drops the text from there on"),
    Kind("N6", "a call in <think>", thought, "what is only thought of is not run"),
)  # fmt: skip

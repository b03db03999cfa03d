"""Reads the calls of Qwen2.5's and Qwen3's own form, JSON inside `<tool_call>` (rule R9)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qcode.codec.callobject import ARGUMENT_KEYS, CallObject
from qcode.codec.lexer import BLANKS, Kind, Token
from qcode.codec.loosejson import exact_object, json_object, loose_object
from qcode.codec.output import Output
from qcode.codec.reader import Reader, Steps, raw_of
from qcode.codec.schema import fitted, properties
from qcode.codec.types import Dialect, Function, Recovery

_LEAD = re.compile(r"[ \t\r\n,;\[\]]*(?:```[A-Za-z_]*[ \t\r\n\[]*)?\{")
_LEAD_PART = re.compile(r"[ \t\r\n,;\[\]]*(?:`{0,2}|```[A-Za-z_]*[ \t\r\n\[]*)")
_TRAIL = re.compile(r"[ \t\r\n,;\])}>`]*")
_NAMED = re.compile(r"""\{[ \t\r\n]*"name"[ \t\r\n]*:[ \t\r\n]*"([^"\\]*)\"""")
_NAMED_PART = re.compile(r"""\{[ \t\r\n]*(?:"(?:n(?:a(?:m(?:e(?:"[ \t\r\n]*(?::[ \t\r\n]*(?:"[^"\\]*)?)?)?)?)?)?)?)?""")
_NAME = re.compile(r"[\w.:/-]{1,200}")
"""What can be the name of a tool that is not known."""

_LIMIT = 200
"""Characters of brackets, commas and fences around an object that are passed over."""

_MAX_WASTE = 100_000
"""Characters of what began like an object and was none, after which no more is tried: the text is read again."""

_OPENERS = (Kind.TOOL_OPEN, Kind.FUNCTION)
_NO_ARGUMENTS = ("name", "function", "type", "id")

_CUT_LINE = (
    "The answer ended inside a call, so it was not executed: write the whole call again, and less text in one call if "
    "it is long"
)
_BROKEN_LINE = (
    "The call of {name} is not valid JSON, so it was not executed: write it again, with the quotes, backslashes and "
    "line breaks in its strings escaped"
)


@dataclass(slots=True)
class _Try:
    """An object that is being read: `index` is that of its call once it is announced."""

    scan: CallObject = field(default_factory=CallObject)
    read: list[Token] = field(default_factory=list)
    index: int | None = None
    told: set[str] = field(default_factory=set)


class HermesReader:
    """Reads JSON objects where a function's header should stand."""

    def __init__(self, reader: Reader, output: Output, functions: Mapping[str, Function], dialect: Dialect) -> None:
        self._reader = reader
        self._output = output
        self._functions = functions
        self._dialect = dialect
        self._wasted = 0
        self._hopeless = False

    def lead(self) -> Steps[str | None]:
        """What stands before the object that comes next; None, with nothing taken, where none comes."""
        read: list[Token] = []
        text = ""
        while not self._hopeless:
            token = yield from self._reader.next()
            read.append(token)
            if token.kind is not Kind.TEXT:
                break
            text += token.raw
            match = _LEAD.match(text)
            if match and match.end() <= _LIMIT:
                self._reader.put_back([Token(Kind.TEXT, text[match.end() - 1 :])])
                return text[: match.end() - 1]
            if match or len(text) > _LIMIT or not _LEAD_PART.fullmatch(text):
                break
        self._reader.put_back(read)
        return None

    def trail(self) -> Steps[None]:
        """Pass over brackets and fences too many between an object and the end of its call."""
        read: list[Token] = []
        text = ""
        while True:
            token = yield from self._reader.next()
            if token.kind is not Kind.TEXT:
                break
            read.append(token)
            text += token.raw
            if len(text) > _LIMIT or not _TRAIL.fullmatch(text):
                self._reader.put_back(read)
                return
        if text.strip() and token.kind in (Kind.TOOL_CLOSE, Kind.TOOL_OPEN, Kind.END):
            self._output.recovered(Recovery.STRAY_TEXT)
            read = []
        self._reader.put_back([*read, token])

    def read(self, *, any_name: bool) -> Steps[bool]:
        """Read the object that comes next: True when it was a call or was cut; if not, all of it comes again."""
        this = _Try()
        while True:
            token = yield from self._reader.next()
            if token.kind is Kind.END:
                return self._ended(this, any_name=any_name)
            ends_here = token.kind is Kind.TOOL_CLOSE and not this.scan.in_string
            try:
                if token.kind in _OPENERS and not this.scan.in_string:
                    raise ValueError(0)
                end = None if ends_here else this.scan.feed(token.raw)
            except ValueError as error:
                self._announce(this, any_name=any_name)
                return self._broken(this, token, int(error.args[0]))
            self._announce(this, any_name=any_name)
            if ends_here:
                # Closing brackets are missing.
                call = self._call(raw_of(this.read), cut=True)
                if call is None:
                    return self._broken(this, token, 0)
                self._reader.put_back([token])
            elif end is None:
                this.read.append(token)
                continue
            else:
                call = self._call(raw_of(this.read) + token.raw[:end])
                if call is None or not (any_name or call.name in self._functions):
                    return self._broken(this, token, end)
                if end < len(token.raw):
                    self._reader.put_back([Token(Kind.TEXT, token.raw[end:])])
            self._finish(this, call)
            return True

    def read_bare(self) -> Steps[bool]:
        """Read an object without wrapper: True when it calls a known tool and nothing but a closing tag follows."""
        if not (yield from self.names_tool()):
            return False
        this = _Try()
        while True:
            token = yield from self._reader.next()
            if token.kind is Kind.END:
                return self._ended(this, any_name=True)
            try:
                if token.kind in _OPENERS and not this.scan.in_string:
                    raise ValueError(0)
                end = this.scan.feed(token.raw)
            except ValueError as error:
                return self._no_call(this, token, int(error.args[0]))
            if end is None:
                this.read.append(token)
                continue
            rest = [Token(Kind.TEXT, token.raw[end:])] if end < len(token.raw) else []
            self._reader.put_back(rest)
            after = yield from self._reader.blanks()
            call = self._call(raw_of(this.read) + token.raw[:end])
            ends = after[-1].kind in (Kind.TOOL_CLOSE, Kind.END) or (yield from self._is_call(after[-1]))
            if call is None or call.name not in self._functions or not ends:
                self._reader.put_back(after[len(rest) :])
                return self._no_call(this, token, end)
            self._reader.put_back(after)
            self._output.recovered(Recovery.MISSING_OPENER)
            self._announce(this, any_name=True)
            self._finish(this, call)
            return True

    def _is_call(self, token: Token) -> Steps[bool]:
        """Whether one more object that names a known tool begins with this text."""
        if token.kind is not Kind.TEXT:
            return False
        self._reader.put_back([Token(Kind.TEXT, token.raw.lstrip(BLANKS))])
        found = yield from self.names_tool()
        self._reader.tokens.popleft()
        return found

    def names_tool(self) -> Steps[bool]:
        """Whether the object that comes begins with the name of a known tool; nothing is taken."""
        read: list[Token] = []
        text = ""
        found = False
        while not self._hopeless:
            token = yield from self._reader.next()
            read.append(token)
            text += token.raw
            match = _NAMED.match(text)
            if match:
                found = match.end() <= _LIMIT and match[1] in self._functions
                break
            if token.kind is not Kind.TEXT or len(text) > _LIMIT or not _NAMED_PART.fullmatch(text):
                break
        self._reader.put_back(read)
        return found

    def _announce(self, this: _Try, *, any_name: bool) -> None:
        """Tell what is known of the call by now."""
        name = this.scan.name
        if this.index is None:
            if name is None or not (name in self._functions or (any_name and _NAME.fullmatch(name))):
                return
            this.index = self._output.start(name)
        function = self._functions.get(name or "", Function(""))
        for argument, text, is_whole in this.scan.pieces:
            if is_whole:
                this.told.add(argument)
                value = fitted(text, properties(function.parameters).get(argument), function.parameters)
                self._output.finish_argument(this.index, argument, value)
            else:
                self._output.argument(this.index, argument, text)
        this.scan.pieces.clear()

    def _finish(self, this: _Try, call: "_Call") -> None:
        output = self._output
        index = output.start(call.name) if this.index is None else this.index
        function = self._functions.get(call.name, Function(call.name))
        declared = properties(function.parameters)
        arguments = {
            key: fitted(value, declared.get(key), function.parameters) for key, value in call.arguments.items()
        }
        for key, value in arguments.items():
            if key not in this.told:
                output.finish_argument(index, key, value)
        output.recovered(*call.recoveries, *[Recovery.DUPLICATE_ARGUMENT] * this.scan.duplicates)
        if self._dialect is not Dialect.HERMES:
            output.recovered(Recovery.OTHER_DIALECT)
        output.finish_call(index, call.name, arguments)

    def _call(self, text: str, *, cut: bool = False) -> "_Call | None":
        """The call that an object is; None where it is none. `cut` tells that closing brackets are missing."""
        found = None if cut else exact_object(text)
        recoveries: tuple[Recovery, ...] = ()
        if found is None:
            recoveries = (Recovery.BROKEN_JSON,)
            found = loose_object(text)
        if found is None:
            return None
        function = found.get("function")
        if isinstance(function, dict):
            found = function
            recoveries += (Recovery.ARGUMENTS_FORM,)
        name = found.get("name", function)
        if not isinstance(name, str) or not (name in self._functions or _NAME.fullmatch(name)):
            return None
        key = next((key for key in ARGUMENT_KEYS if key in found), None)
        if key is None:
            arguments: Any = {key: value for key, value in found.items() if key not in _NO_ARGUMENTS}
            if arguments and not arguments.keys() <= properties(self._parameters(name)).keys():
                return None
            recoveries += (Recovery.ARGUMENTS_FORM,) if arguments else ()
        else:
            arguments = {} if found[key] is None else found[key]
        if isinstance(arguments, str):
            recoveries += (Recovery.ARGUMENTS_FORM,)
            arguments = json_object(arguments) if arguments.strip() else {}
        return _Call(name, arguments, recoveries) if isinstance(arguments, dict) else None

    def _parameters(self, name: str) -> Mapping[str, Any]:
        function = self._functions.get(name)
        return function.parameters if function else {}

    def _broken(self, this: _Try, token: Token, at: int) -> bool:
        """What was meant as a call cannot be read."""
        self._output.misformed = True
        if this.index is not None:
            self._output.drop_call(_BROKEN_LINE.format(name=this.scan.name))
        return self._no_call(this, token, at)

    def _no_call(self, this: _Try, token: Token, at: int) -> bool:
        """What was read up to that index of `token` comes again, and is text."""
        self._wasted += sum(len(each.raw) for each in this.read) + at
        self._hopeless = self._hopeless or self._wasted > _MAX_WASTE
        self._reader.put_back([*this.read, token])
        return False

    def _ended(self, this: _Try, *, any_name: bool) -> bool:
        self._hopeless = True
        end = Token(Kind.END, "")
        if any_name or this.index is not None:
            self._output.cut_off(_CUT_LINE)
            self._reader.put_back([end])
            return True
        self._reader.put_back([*this.read, end])
        return False


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    arguments: dict[str, Any]
    recoveries: tuple[Recovery, ...]

"""A trajectory as its trainer will have it: rendered by a model's own chat template, tokenised, and read back.

What does not come back would be learned wrongly: another call than was made, or a loss on another's words. The folder
is a model's as Hugging Face lays it out: tokenizer.json, and chat_template.jinja or tokenizer_config.json. Its template
is foreign, and so runs in Jinja's sandbox.
"""

import bisect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcode.codec import parse
from qcode.errors import ConfigError
from qcode.messages import Assistant
from qcode.session.transcript import Transcript, openai

if TYPE_CHECKING:
    from jinja2 import Template
    from tokenizers import Tokenizer

_ENDS = "<|im_end|>"


@dataclass(frozen=True, slots=True)
class Tokens:
    """How many a trajectory has, and on how many of them there is a loss."""

    all: int
    learned: int


class _Refused(Exception):
    """A template did not take a conversation."""


class ModelText:
    """A model's chat template and tokenizer."""

    def __init__(self, folder: Path) -> None:
        """Raises: ConfigError with what is missing."""
        self._template = _template(folder)
        self._tokenizer = _tokenizer(folder / "tokenizer.json")

    def tokens(self, said: Transcript) -> Tokens | str:
        """What a trajectory comes to, or why it does not come back as it went in."""
        try:
            return self._counted(said)
        except _Refused as error:
            return f"the chat template does not take it: {error}"

    def _counted(self, said: Transcript) -> Tokens | str:
        form = openai(said)
        messages, tools = [_with_objects(message) for message in form["messages"]], form["tools"]
        whole = self._render(messages, tools, begin=False)
        encoded = self._tokenizer.encode(whole, add_special_tokens=False)
        if self._tokenizer.decode(encoded.ids, skip_special_tokens=False) != whole:
            return "its tokens do not read as its text"
        starts = [begin for begin, _ in encoded.offsets]
        learned = 0
        for place, message in enumerate(said.history):
            if not isinstance(message, Assistant):
                continue
            # Behind the system prompt, each message stands one later than in the history.
            head = self._render(messages[: place + 1], tools, begin=True)
            end = whole.find(_ENDS, len(head))
            if not whole.startswith(head) or end < 0:
                return "the chat template does not write an answer where it says that one begins"
            first, last = _token_at(starts, len(head)), _token_at(starts, end)
            if first is None or last is None:
                return "an answer does not begin and end with a token"
            answer = self._tokenizer.decode(encoded.ids[first:last], skip_special_tokens=False)
            if _calls(answer, said) != [spelled(call.name, call.arguments) for call in message.tool_calls]:
                return "a call does not come back from its tokens as it was made"
            learned += (last + 1 - first) * said.learned(place)
        return Tokens(len(encoded.ids), learned)

    def _render(self, messages: Sequence[Any], tools: Sequence[Any], *, begin: bool) -> str:
        try:
            return self._template.render(messages=messages, tools=tools or None, add_generation_prompt=begin)
        except Exception as error:  # whatever a template makes of a message that it does not expect
            raise _Refused(str(error)) from error


def _token_at(starts: Sequence[int], place: int) -> int | None:
    """The first token that begins at a character, if one does: a byte of a character alone begins where that does."""
    found = bisect.bisect_left(starts, place)
    return found if found < len(starts) and starts[found] == place else None


def _calls(answer: str, said: Transcript) -> list[tuple[str, dict[str, str]]]:
    return [spelled(call.name, call.arguments) for call in parse(answer, said.tools).tool_calls]


def spelled(name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A call as a template writes it, where a number that no schema declares is text as any other."""
    return name, {key: value if isinstance(value, str) else json.dumps(value) for key, value in arguments.items()}


def _with_objects(message: dict[str, Any]) -> dict[str, Any]:
    """Arguments as objects, which templates walk through."""
    calls = [
        call | {"function": call["function"] | {"arguments": json.loads(call["function"]["arguments"])}}
        for call in message.get("tool_calls", ())
    ]
    return message | ({"tool_calls": calls} if calls else {})


def _template(folder: Path) -> "Template":
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        own = folder / "chat_template.jinja"
        if own.is_file():
            text: Any = own.read_text(encoding="utf-8")
        else:
            text = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{folder} holds no chat template of a model: {error}") from None
    if not isinstance(text, str):
        raise ConfigError(f"{folder} holds no chat template of a model")

    def refuse(why: str) -> None:
        raise TemplateError(why)

    # As transformers sets it up.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **more: json.dumps(value, ensure_ascii=False, **more)
    environment.globals["raise_exception"] = refuse
    try:
        return environment.from_string(text)
    except TemplateError as error:
        raise ConfigError(f"the chat template in {folder} cannot be read: {error}") from None


def _tokenizer(path: Path) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ConfigError("--tokenizer needs the tokenizers package: pip install 'qcode[train]'") from None
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except Exception as error:  # tokenizers raises nothing narrower
        raise ConfigError(f"{path} is not a tokenizer: {error}") from None

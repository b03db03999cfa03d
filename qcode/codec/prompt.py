"""Writes a prompt as the model's own chat template does."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qcode.codec import coder_template, hermes_template
from qcode.codec.schema import functions
from qcode.codec.types import Dialect, ThinkingMode, Tool
from qcode.control import plain

if TYPE_CHECKING:
    from qcode.messages import Message

_ANSWER_BEGINS = {
    ThinkingMode.TEXT: "",
    ThinkingMode.IN_TAGS: "",
    ThinkingMode.BEGUN: "<think>\n",
    ThinkingMode.SKIPPED: "<think>\n\n</think>\n\n",
}


def render(
    system: str,
    history: Sequence["Message"],
    tools: Iterable[Tool] | None,
    *,
    generation_prompt: bool = True,
    dialect: Dialect | str = Dialect.QWEN3_CODER,
    thinking: ThinkingMode | str = ThinkingMode.TEXT,
) -> str:
    """The whole prompt; with `generation_prompt` it ends where the model's answer begins.

    Without it, the prompt of a history is the beginning of the prompt of every longer one, up to the user's next words:
    what was thought before them is left out from then on.
    """
    template = hermes_template if Dialect(dialect) is Dialect.HERMES else coder_template
    asked = max((place for place, message in enumerate(history) if message.role == "user"), default=-1)
    parts = [template.system(system, tuple(functions(tools).values()))]
    after_tool = False
    for place, message in enumerate(history):
        if message.role == "tool":
            parts.append("" if after_tool else template.RESULTS_BEGIN)
            parts.append(template.result(message.result.content))
            after_tool = True
            continue
        if after_tool:
            parts.append("<|im_end|>\n")
            after_tool = False
        match message.role:
            case "user":
                parts.append(f"<|im_start|>user\n{plain(message.text)}<|im_end|>\n")
            case "assistant":
                parts.append(template.assistant(message, thinking=place > asked))
    if after_tool and generation_prompt:
        parts.append("<|im_end|>\n")
    if generation_prompt:
        parts.append("<|im_start|>assistant\n" + _ANSWER_BEGINS[ThinkingMode(thinking)])
    return "".join(parts)

"""Asking the model for words at the end of a conversation: a summary, a message. No call is wanted and none is run."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from qcode.messages import Assistant, Usage, User
from qcode.model import Backend, Delta, Request

INSTEAD = "Answer in plain text only: no tool can be called here, and a call would be lost."


async def in_words(
    backend: Backend, request: Request, words: str, *, max_tokens: int, see: Callable[[Delta], None] | None = None
) -> Assistant:
    """The answer to these words, behind the conversation of the request; its usage is of all that was asked.

    Our engine, and vLLM, cannot begin a call then; others may. Such an answer is asked for once more: what stands
    before a call is what the model was about to do, not what it was asked for. The text is empty where the second
    answer has a call too. Raises: BackendError.
    """
    usage = Usage()
    sampling = request.sampling.model_copy(update={"max_tokens": max_tokens})
    answer = Assistant()
    for asked in (words, f"{words}\n\n{INSTEAD}"):
        history = (*request.history, User(text=asked))
        wanted = replace(request, history=history, sampling=sampling, tool_choice="none")
        async with aclosing(backend.stream(wanted)) as stream:
            async for item in stream:
                if isinstance(item, Assistant):
                    answer = item
                elif see is not None:
                    see(item)
        usage += answer.usage
        if not _calls(answer):
            return answer.model_copy(update={"usage": usage})
    return answer.model_copy(update={"text": "", "tool_calls": (), "problems": (), "usage": usage})


def _calls(answer: Assistant) -> bool:
    """Whether it is or has a call, whoever reads it; without tools to know them by, some forms stay in the text."""
    return bool(answer.tool_calls or answer.problems) or answer.text.lstrip().startswith(
        ("{", "<tool_call", "<function")
    )

"""Checks of what is served: which model, of which family, with which window."""

from qcode.backends.openai_compat.servers import Server
from qcode.doctor import remedies
from qcode.doctor.patient import Patient
from qcode.doctor.result import Result, Verdict
from qcode.models.card import ModelCard
from qcode.models.registry import recognise

SMALLEST_WINDOW = 16_000
"""Tokens below which no work is possible without --small-context."""

_ODD = 1.6
"""A model has at most so many times the parameters that its name says; its embeddings may count once more."""

_SINGLE = ("<|im_start|>", "<tool_call>")
"""One token each in the tokenizers of the family."""


async def model(patient: Patient, *, asked: str | None) -> Result:
    """Is it the model that was asked for, of the size that its name says, with the family's tokenizer?"""
    found, server = patient.found, patient.server
    if found is None:
        name = patient.card.title if patient.card else "a model file"
        return Result("model", Verdict.PASS, f"{name}, its file as it was checked when it was pulled")
    if asked is not None and not found.listed:
        served = ", ".join(found.names) or "nothing"
        wanted, given = recognise(asked), [recognise(name) for name in found.names]
        if wanted is None or wanted not in given:
            fix = remedies.wrong_model(server, asked, found.names[0] if found.names else "NAME")
            return Result("model", Verdict.FAIL, f"asked for {asked}, but it serves {served}", fix)
    card = recognise(asked) if asked else patient.card
    if card is not None and found.parameters and _differs(card, found.parameters):
        billions = found.parameters / 1e9
        detail = f"{card.title} has {card.architecture.total_b:g}B parameters, but what is served has {billions:.2g}B"
        return Result("model", Verdict.FAIL, detail, remedies.wrong_model(server, card.name, found.model))
    foreign = [text for text in _SINGLE if (ids := await _tokens(patient, text)) is not None and len(ids) != 1]
    if foreign:
        detail = f"its tokenizer is not that of the Qwen family: it cuts {foreign[0]} into pieces"
        return Result("model", Verdict.FAIL, detail, remedies.wrong_model(server, "a model of the family", found.model))
    known = card.title if card else "not in qcode's list: asked without a preset"
    return Result("model", Verdict.PASS, f"{found.model} ({known})")


async def window(patient: Patient, *, small_context: bool, size: int | None) -> Result:
    """Is there room to work in?"""
    if size is None:
        fix = "give --context to Ollama, or see `long`: it asks how much really arrives"
        return Result("window", Verdict.SKIP, "the server does not tell its window", fix)
    figures = {"tokens": size}
    name = patient.found.model if patient.found else "the model"
    if size < SMALLEST_WINDOW and not small_context:
        fix = remedies.window(patient.server, name) + ", or add --small-context"
        return Result("window", Verdict.FAIL, f"{size} tokens, at least {SMALLEST_WINDOW} are needed", fix, figures)
    return Result("window", Verdict.PASS, f"{size} tokens", "", figures)


def _differs(card: ModelCard, parameters: int) -> bool:
    ratio = parameters / (card.architecture.total_b * 1e9)
    return not 1 / _ODD < ratio < _ODD


async def _tokens(patient: Patient, text: str) -> list[object] | None:
    """What the server's tokenizer makes of it, None where it has no such address."""
    if patient.server is Server.VLLM:
        body = {"model": patient.found.model if patient.found else "", "prompt": text, "add_special_tokens": False}
    else:
        body = {"content": text, "add_special": False, "parse_special": True}
    match await patient.post("/tokenize", body):
        case {"tokens": list(tokens)}:
            return tokens
        case _:
            return None

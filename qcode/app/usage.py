"""What fills the model's window, and what reading it costs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from qcode.app.bill import Bill, first_request
from qcode.app.conversation import Conversation
from qcode.codec import render
from qcode.messages import Assistant, Message, Tool, Usage, User
from qcode.model import Request
from qcode.session.costs import TurnCost

TURNS = 15
"""So many turns are shown by themselves, the last ones."""

_BAR = 30
_WORDS = 40


@dataclass(slots=True)
class _Part:
    """`tokens` of the next prompt; `cached` of them were not read anew for the last answer."""

    tokens: int = 0
    cached: int = 0


async def context_table(talk: Conversation) -> str:
    """The parts of the next prompt in tokens, what of them was cached for the last answer, and the seconds that reading
    them anew takes where that was measured; then what each turn cost.

    Exact where the server counts; the parts of the conversation share its count by their length. Raises: BackendError.
    """
    request = talk.request
    bill = await first_request(replace(request, history=()), talk.count_tokens)
    total = await talk.count_tokens(request)
    exact = total is not None and bill.exact
    total = total if total is not None else -(-len(_text(request)) // 4)
    last = _last_usage(request.history)
    parts = _parts(bill, request, total - bill.total, talk.briefing.text, cached=last.cached_tokens if last else 0)
    speed = talk.record.costs.speed_of(talk.info.model)
    lines = [_total(total, talk.info.context_window, exact=exact), *_table(parts, last is not None, speed)]
    if speed:
        lines.append(f"anew: what it would take to read it again, at {speed:,.0f} tokens/s as measured")
    return "\n".join([*lines, *_turns(talk.record.costs.turns)])


def _total(total: int, window: int | None, *, exact: bool) -> str:
    about = "" if exact else "about "
    if window is None:
        return f"{about}{total:,} tokens; the server does not tell its window"
    filled = min(_BAR, round(_BAR * total / window))
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {about}{total:,} of {window:,} tokens, {100 * total / window:.0f}%"


def _last_usage(history: Sequence[Message]) -> Usage | None:
    """Of the last answer, where its server told what was cached."""
    for message in reversed(history):
        if isinstance(message, Assistant):
            usage = message.usage
            return usage if usage.prompt_tokens and not usage.cache_untold else None
    return None


def _parts(bill: Bill, request: Request, tokens: int, notes: str, *, cached: int) -> dict[str, _Part]:
    """By name, in the order of the prompt. The cache has the prompt's beginning."""
    parts: dict[str, _Part] = {}
    end = 0

    def put(name: str, size: int) -> None:
        nonlocal end
        part = parts.setdefault(name, _Part())
        part.tokens += size
        part.cached += max(0, min(size, cached - end))
        end += size

    put("system prompt", bill.system)
    put("tools", sum(bill.tools.values()))
    put("around them", bill.template + bill.task)
    pieces = list(_pieces(request, notes))
    whole = sum(size for _, size in pieces)
    for name, size in pieces:
        put(name, round(tokens * size / whole))
    return parts


def _pieces(request: Request, notes: str) -> Iterable[tuple[str, int]]:
    """What each message is, and its characters; instructions stand at the beginning of the first."""
    for place, message in enumerate(request.history):
        size = len(_text(Request("", (message,))))
        if not place and notes and isinstance(message, User) and message.text.startswith(notes):
            yield "instructions", len(notes)
            size -= len(notes)
        yield _kind(message), size


def _kind(message: Message) -> str:
    if isinstance(message, Assistant):
        return "the model's answers"
    return f"results of {message.result.name}" if isinstance(message, Tool) else "your words"


def _table(parts: dict[str, _Part], told: bool, speed: float | None) -> list[str]:
    width = max(map(len, parts))
    head = f"{'':<{width}}  {'tokens':>8}" + ("  cached" if told else "") + (f"  {'anew':>8}" if speed else "")
    lines = [head] if told or speed else []
    for name, part in parts.items():
        share = f"  {_share(part.cached, part.tokens):>6}" if told else ""
        seconds = f"  {part.tokens / speed:6.1f} s" if speed else ""
        lines.append(f"{name:<{width}}  {part.tokens:>8,}{share}{seconds}")
    return lines


def _turns(turns: Sequence[TurnCost]) -> list[str]:
    if not any(turn.steps for turn in turns):
        return []
    lines = ["", f"turn  {'read':>9}  cached   reading   writing     tools"]
    if earlier := turns[:-TURNS]:
        lines.append(_row(f"1-{earlier[-1].number}" if earlier[0].number == 1 else "…", earlier, "before these"))
    return lines + [_row(str(turn.number), [turn], " ".join(turn.words[:400].split())) for turn in turns[-TURNS:]]


def _row(number: str, turns: Sequence[TurnCost], words: str) -> str:
    usage = sum((turn.usage for turn in turns), Usage())
    share = "?" if usage.cache_untold else _share(usage.cached_tokens, usage.prompt_tokens)
    times = (sum(getattr(turn, name) for turn in turns) for name in ("reading_s", "writing_s", "tools_s"))
    spent = "".join(f"  {seconds:>6.1f} s" for seconds in times)
    words = words if len(words) <= _WORDS else f"{words[:_WORDS]}…"
    return f"{number:>4}  {usage.prompt_tokens:>9,}  {share:>6}{spent}  {words}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "-"


def _text(request: Request) -> str:
    return render(request.system, request.history, request.tools)

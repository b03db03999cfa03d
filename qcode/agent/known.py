"""What the model knows: the history, which grows at its end or goes back to where all was well."""

from collections.abc import Callable, Iterable, Sequence

from qcode.agent.asides import Asides
from qcode.agent.attempts import Attempts
from qcode.events import Event, Feedback, Steered, WentBack
from qcode.messages import Assistant, Message, Tool, User
from qcode.session.fold import cancelled, unanswered
from qcode_tools.result import ToolResult
from qcode_tools.spec import Effect

Emit = Callable[[Event], None]


class Known:
    """`messages` is the history, always the same list; `attempts` tells how far it is in order."""

    def __init__(self, messages: Iterable[Message], *, goes_back: bool) -> None:
        """`goes_back`: what led to a failed change is forgotten."""
        self.messages = list(messages)
        self.attempts = Attempts()
        self._goes_back = goes_back

    @property
    def in_vain(self) -> bool:
        """Going back, again and again, did not help."""
        return self._goes_back and self.attempts.in_vain

    def said(self, text: str) -> None:
        """The user's words; they stay, whatever the model forgets of its own."""
        self.messages.append(User(text=text))
        self.attempts.settle(len(self.messages))

    def answered(self, answer: Assistant) -> None:
        """What the model wrote."""
        self.messages.append(answer)

    def happened(self, effect: Effect, result: ToolResult) -> None:
        """What a call came to."""
        self.messages.append(Tool(result=result))
        self.attempts.note(effect, result, len(self.messages))

    def shortened(self, history: Sequence[Message]) -> None:
        """This stands for all of it from now on."""
        self.messages[:] = history
        self.attempts.settle(len(self.messages))

    def hear(self, asides: Asides, emit: Emit) -> None:
        """Take in what the user said and did meanwhile."""
        while asides:
            aside = asides.take()
            self.said(aside.text if isinstance(aside, Steered) else aside.told)
            emit(aside)

    def feedback(self, words: str, cause: str, emit: Emit) -> None:
        """Tell the model what was wrong with its answer."""
        self.messages.append(User(text=words))
        emit(Feedback(text=words, cause=cause))

    def go_back(self, emit: Emit) -> bool:
        """Forget what led to a failed change, if that is wanted and there was one."""
        if not self.attempts.over() or not self._goes_back:
            return False
        del self.messages[self.attempts.kept :]
        emit(WentBack(kept=self.attempts.kept))
        return True

    def close_calls(self) -> None:
        """Answer what nobody answered, so that the history is well-formed for a next turn."""
        self.messages += [Tool(result=cancelled(call)) for call in unanswered(self.messages)]

"""The calls that a value shows: documentation, tests of a parser, a prompt (rule M2)."""

from qcode.codec.lexer import Kind


class Examples:
    """What is open of them: a stack of wrappers and functions, and openers that are only mentioned.

    An opener that the grammar does not continue, `<function=x>...`, is a mention; a closing tag may still belong to it.
    """

    __slots__ = ("_functions", "_mentioned_functions", "_mentioned_wrappers", "_stack")

    def __init__(self) -> None:
        self._stack: list[Kind] = []
        self._functions = 0
        self._mentioned_functions = 0
        self._mentioned_wrappers = 0

    @property
    def in_function(self) -> bool:
        """Whether some function is open."""
        return self._functions > 0

    @property
    def in_wrapper(self) -> bool:
        """Whether some wrapper is open."""
        return len(self._stack) > self._functions

    @property
    def is_bare(self) -> bool:
        """Whether the last one opened is a function without wrapper."""
        return self._stack[-1:] == [Kind.FUNCTION] and self._stack[-2:-1] != [Kind.TOOL_OPEN]

    def open_wrapper(self, following: Kind) -> None:
        """`<tool_call>`, and what follows it."""
        if following is Kind.FUNCTION:
            self._stack.append(Kind.TOOL_OPEN)
        else:
            self._mentioned_wrappers += 1

    def open_function(self, following: Kind) -> None:
        """A function's header, and what follows it."""
        if following in (Kind.PARAMETER, Kind.FUNCTION_CLOSE):
            self._stack.append(Kind.FUNCTION)
            self._functions += 1
        else:
            self._mentioned_functions += 1

    def close_function(self, following: Kind) -> bool:
        """Whether `</function>` belongs to one of them; `following` is what follows the tag."""
        if self._functions:
            self._close(Kind.FUNCTION)
            return True
        if self._mentioned_functions and (self.in_wrapper or following is not Kind.TOOL_CLOSE):
            self._mentioned_functions -= 1
            return True
        return False

    def close_wrapper(self) -> bool:
        """Whether `</tool_call>` belongs to one of them."""
        if self.in_wrapper:
            self._close(Kind.TOOL_OPEN)
            return True
        if self._mentioned_wrappers:
            self._mentioned_wrappers -= 1
            return True
        return self.in_function

    def _close(self, kind: Kind) -> None:
        """Drop what was opened last, down to one of `kind`."""
        while True:
            opened = self._stack.pop()
            self._functions -= opened is Kind.FUNCTION
            if opened is kind:
                return

"""Holds the calls of an answer to their form on a server that can do so, as the server itself says.

vLLM takes a structural tag as `response_format` (docs.vllm.ai, Structured Outputs) and refuses with 400 what it does
not know; what it refused once is not sent again.
"""

from typing import Any

from qcode.backends.offered import offered
from qcode.backends.openai_compat.servers import Server
from qcode.codec import Dialect
from qcode.codec.structural_tag import structural_tag, text_without_calls
from qcode.model import Request

FIELD = "response_format"


class Constraint:
    """What this server is asked for, with `wanted`; `words` say what became of it."""

    def __init__(self, *, wanted: bool, dialect: Dialect = Dialect.QWEN3_CODER) -> None:
        self._wanted = wanted
        self._dialect = dialect
        self._refused = False
        self.words = "not yet known" if wanted else "off"

    def applied(self, fields: dict[str, Any], request: Request, server: Server) -> dict[str, Any]:
        """The body with the constraint, where there is one.

        The choice "required" is a constraint of the server's own, with other rules: no free text, nothing withheld.
        """
        if not request.tools:
            return fields
        if request.tool_choice == "none":
            # Other servers take the tools out of the prompt for that (SGLang does), and it would be read anew.
            if server is not Server.VLLM:
                return fields | {"tool_choice": "auto"}
            barred = {FIELD: text_without_calls(thinks=_thinks(request))} if self._wanted and not self._refused else {}
            return fields | {"tool_choice": "none"} | barred
        if not self._wanted:
            return fields | {"tool_choice": "auto"}
        if server is not Server.VLLM or self._refused:
            return fields
        tag = structural_tag(offered(request), required=request.tool_choice == "required", dialect=self._dialect)
        return fields | {FIELD: tag, "tool_choice": "auto"}

    def answered(self, wanted: dict[str, Any], accepted: dict[str, Any]) -> None:
        """The server took `accepted` where `wanted` was asked of it."""
        if FIELD in accepted:
            self.words = "structural tags"
        elif FIELD in wanted:
            self._refused = True
            self.words = "structural tags refused"
        elif self._wanted and not self._refused:
            self.words = "tool_choice required" if accepted.get("tool_choice") == "required" else "none"


def _thinks(request: Request) -> bool:
    thinking = request.sampling.thinking
    return thinking is not None and thinking.enabled

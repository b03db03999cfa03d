"""Proves the structural tag on vLLM's own XGrammar: what it lets through is read without a repair, and the other way.

python benchmarks/constrained.py [--walks N]
"""

import argparse
import random
import sys
from typing import Any

import vllm_env
from answers import TOOLS, WELL_FORMED, whole
from malformed import MALFORMED

from qcode.codec import Recovery, parse
from qcode.codec.structural_tag import structural_tag

HARD: dict[str, Any] = {
    "name": "pick",
    "parameters": {
        "type": "object",
        "properties": {"old": {"enum": ["x = 1", "  y\n  z"]}, "n": {"type": ["number", "null"]}, "any": {}},
        "required": ["old", "n"],
    },
}
CODE: dict[str, Any] = {
    "name": "mend",
    "parameters": {"type": "object", "properties": {"new_code": {"type": "string"}}, "required": ["new_code"]},
}
KNOWN = [*TOOLS, HARD, CODE]
TAGS = (
    "</tool_call>", "</function>", "</parameter>", "\n</parameter>\n", "\n", "<function=bash>", "<function=pick>\n",
    "<function=write_file>\n", "<function=plan>\n", "<parameter=command>\n", "<parameter=timeout>\n",
    "<parameter=path>\n", "<parameter=content>\n", "<parameter=old>\n", "<parameter=n>\n", "<parameter=any>\n",
    "<parameter=title>\n", "<parameter=done>\n", "<parameter=options>\n", "</function>\n</tool_call>", "<tool_call>\n",
    "<function=mend>\n", "<parameter=new_code>\n", "```python\n", "\n```\n", "\n</new_code>\n",
)  # fmt: skip
TEXTS = (
    "x = 1", "  y\n  z", "-3", "1.5e3", "null", "true", '{"a": [1, "b"]}', "text", " ", "`", "```", "<", "</",
    "<function", "<parameter>", "é😀", "\r\n", "\t", "~~~", "a < b", "<tool_call>",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walks", type=int, default=400)
    options = parser.parse_args()
    wrong: list[str] = []
    for required in (True, False):
        wrong += prove(required, options.walks)
    for line in wrong[:10]:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def prove(required: bool, walks: int) -> list[str]:
    chance = random.Random(walks)
    right = [
        answer for kind in WELL_FORMED for answer in [kind.make(chance)] if len(answer.calls) == 1 and fits(answer)
    ]
    broken = [kind.make(chance) for kind in MALFORMED if kind.rule in {"R1", "R2", "R5", "R7"}]
    asked = {
        "tag": structural_tag(KNOWN, required=required),
        "pieces": [*TAGS * 5, *TEXTS],
        "walks": walks,
        "texts": [answer.text for answer in (*right, *broken)],
    }
    answer = vllm_env.ask("walk", asked)
    doubtful = [text for text in answer["found"] if not exact(text, required)]
    wrong = [f"let through and not exact: {text!r}" for text in doubtful if not shows_a_call(text)]
    for each, through in zip((*right, *broken), answer["let_through"], strict=True):
        bare = not required and {*parse(each.text, KNOWN).recoveries} == {Recovery.MISSING_OPENER}
        if through is not (each in right) and not bare:
            wrong.append(f"{'let through' if through else 'held up'}: {each.text!r}")
    calls = sum(len(parse(text, KNOWN).tool_calls) for text in answer["found"])
    print(
        f"{required=}: {len(answer['found'])} random answers with {calls} calls let through, {len(right)} right ones; "
        f"{len(broken)} malformed ones held up; {len(wrong)} mistakes, "
        f"{len(doubtful) - len(wrong)} with halves of other calls in their values that are read otherwise"
    )
    return wrong


def fits(answer: Any) -> bool:
    """As the grammar writes them: JSON's words for Python's, no undeclared parameter."""
    (name, arguments) = answer.calls[0]
    plain = not any(value is None or isinstance(value, bool) for value in arguments.values())
    return plain and "mode" not in arguments and answer.text.endswith(whole((name, arguments)))


def exact(text: str, required: bool) -> bool:
    parsed = parse(text, KNOWN)
    if required:
        return len(parsed.tool_calls) == 1 and not parsed.recoveries and not parsed.problems
    # Free text may show a call in a code fence, which is then no call; and the first tag may be left out.
    return {*parsed.recoveries} <= {Recovery.MISSING_OPENER}


def shows_a_call(text: str) -> bool:
    """Whether it has more headers than calls: some are in values, where only a whole example is surely one."""
    return text.count("<function=") > len(parse(text, KNOWN).tool_calls)


if __name__ == "__main__":
    sys.exit(main())

"""vLLM's own qwen3_coder tool parser, on texts of ours. Runs in the environment that .ci/vllm-env makes.

python -P vllm_child.py tokenizer GGUF DIRECTORY     the tokenizer of a model file, once
python -P vllm_child.py parse DIRECTORY < REQUEST    REQUEST: {"tools": [...], "texts": [...]}; prints what it reads
python -P vllm_child.py time DIRECTORY < REQUEST     the same, with {"rounds": N}; prints seconds of processor time
python -P vllm_child.py walk DIRECTORY < REQUEST     {"tag": {}, "pieces": [], "texts": [], "walks": N}: texts that the
    structural tag lets through, made at random from the pieces, and whether it lets these texts through
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

PARSER = "qwen3_coder"


def main() -> None:
    mode, *arguments = sys.argv[1:]
    if mode == "tokenizer":
        save_tokenizer(Path(arguments[0]), arguments[1])
        return
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(arguments[0])
    asked = json.load(sys.stdin)
    json.dump({"parse": parsed, "time": timed, "walk": walked}[mode](tokenizer, asked), sys.stdout)


def save_tokenizer(model: Path, folder: str) -> None:
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name).save_pretrained(folder)


class Parser:
    """A fresh parser for each answer, as vLLM makes one for each request without a reasoning parser."""

    def __init__(self, tokenizer: Any, tools: list[dict[str, Any]]) -> None:
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.tool_parsers import ToolParserManager

        self._tokenizer = tokenizer
        self._class = ToolParserManager.get_tool_parser(PARSER)
        self._request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": ""}], tools=tools)

    def open(self) -> Any:
        parser = self._class(self._tokenizer, self._request.tools, chat_template_kwargs={"enable_thinking": False})
        parser.skip_reasoning_parsing = True
        return parser

    def whole(self, text: str) -> dict[str, Any]:
        found = self.open().extract_tool_calls(text, self._request)
        calls = [[call.function.name, call.function.arguments] for call in found.tool_calls]
        return {"content": found.content or "", "calls": calls}

    def feed(self, parser: Any, piece: str, ids: list[int]) -> Any:
        # What came before is handed over as well, but vLLM 0.32's parser does not look at it.
        return parser.extract_tool_calls_streaming("", "", piece, [], [], ids, self._request)

    def streamed(self, pieces: list[tuple[str, list[int]]]) -> dict[str, Any]:
        parser = self.open()
        content: list[str] = []
        calls: dict[int, list[str]] = {}
        for delta in [*(self.feed(parser, *piece) for piece in pieces), parser.finish_streaming()]:
            if delta is None:
                continue
            content.append(delta.content or "")
            for part in delta.tool_calls or ():
                call = calls.setdefault(part.index, ["", ""])
                if part.function is not None:
                    call[0] += part.function.name or ""
                    call[1] += part.function.arguments or ""
        return {"content": "".join(content), "calls": [calls[index] for index in sorted(calls)]}


def pieces_of(tokenizer: Any, text: str) -> list[tuple[str, list[int]]]:
    """The text token by token, as a server's detokenizer gives it: whole characters only."""
    found: list[tuple[str, list[int]]] = []
    waiting: list[int] = []
    for token in tokenizer.encode(text, add_special_tokens=False):
        waiting.append(token)
        piece = tokenizer.decode(waiting, skip_special_tokens=False)
        if not piece.endswith("\ufffd"):
            found.append((piece, waiting))
            waiting = []
    if waiting:
        found.append((tokenizer.decode(waiting), waiting))
    return found


def parsed(tokenizer: Any, asked: dict[str, Any]) -> list[dict[str, Any]]:
    parser = Parser(tokenizer, asked["tools"])
    answers = []
    for text in asked["texts"]:
        pieces = pieces_of(tokenizer, text)
        answer: dict[str, Any] = {"pieces": [piece for piece, _ in pieces]}
        for name, read in (("whole", lambda: parser.whole(text)), ("streamed", lambda: parser.streamed(pieces))):  # noqa: B023
            try:
                answer[name] = read()
            except Exception as error:
                answer[name] = {"error": f"{type(error).__name__}: {error}"[:200]}
        answers.append(answer)
    return answers


def timed(tokenizer: Any, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Seconds for each text, streamed token by token: medians of the rounds."""
    parser = Parser(tokenizer, asked["tools"])
    answers = []
    for text in asked["texts"]:
        pieces = pieces_of(tokenizer, text)
        streams = []
        for _ in range(asked["rounds"]):
            # As many answers in a round as make it long enough to be measured.
            opened = [parser.open() for _ in range(1 + 2000 // len(pieces))]
            started = time.process_time()
            for one in opened:
                for piece, ids in pieces:
                    parser.feed(one, piece, ids)
                one.finish_streaming()
            streams.append((time.process_time() - started) / len(opened))
        answers.append(
            {
                "pieces": [piece for piece, _ in pieces],
                "streamed_s": statistics.median(streams),
            }
        )
    return answers


def walked(tokenizer: Any, asked: dict[str, Any]) -> dict[str, Any]:
    import random

    import xgrammar

    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer)
    compiler = xgrammar.GrammarCompiler(info, max_threads=1)
    tag = compiler.compile_structural_tag(json.dumps(asked["tag"]))
    chance = random.Random(asked["walks"])
    found = []
    for _ in range(asked["walks"]):
        matcher = xgrammar.GrammarMatcher(tag, terminate_without_stop_token=False)
        text = ""
        for _ in range(400):
            piece = chance.choice(asked["pieces"])
            if matcher.accept_string(piece):
                text += piece
                if ends(xgrammar, matcher, info) and chance.random() < 0.3:
                    found.append(text)
                    break
    let_through = []
    for text in asked["texts"]:
        matcher = xgrammar.GrammarMatcher(tag)
        let_through.append(bool(matcher.accept_string(text) and ends(xgrammar, matcher, info)))
    return {"found": found, "let_through": let_through}


def ends(xgrammar: Any, matcher: Any, info: Any) -> bool:
    """Whether the answer may end here."""
    mask = xgrammar.allocate_token_bitmask(1, info.vocab_size)
    matcher.fill_next_token_bitmask(mask)
    end = info.stop_token_ids[0]
    return bool(int(mask[0][end // 32]) >> (end % 32) & 1)


if __name__ == "__main__":
    main()

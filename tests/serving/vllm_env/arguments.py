"""Run in vLLM's environment: parse command lines with vLLM's own parser and checks, start nothing.

One JSON array of words a line on stdin (what follows the program); "" or the error a line on stdout.
"""

import contextlib
import io
import json
import sys

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.cli.serve import make_arg_parser, validate_parsed_serve_args
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser


def refusal(words: list[str]) -> str:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = make_arg_parser(FlexibleArgumentParser()).parse_args(words)
            validate_parsed_serve_args(args)
            if args.tool_call_parser:
                ToolParserManager.get_tool_parser(args.tool_call_parser)
            if args.reasoning_parser:
                ReasoningParserManager.get_reasoning_parser(args.reasoning_parser)
            AsyncEngineArgs.from_cli_args(args)
    except SystemExit:
        return said.getvalue().strip() or "it was refused"
    except Exception as error:
        return repr(error)
    return ""


for line in sys.stdin:
    print(json.dumps(refusal(json.loads(line))), flush=True)

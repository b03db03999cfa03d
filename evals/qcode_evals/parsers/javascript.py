"""Logs of JavaScript's test runners. Some of them name only the tests that fail (`eval_type` "fail_only")."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from qcode_evals.parsers.status import Found, Status

_ESCAPE = re.compile(r"\x1b(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])")
_TIMES = "\N{MULTIPLICATION SIGN}"
_SIGNS = {
    "✓": Status.PASSED, "✔": Status.PASSED, "✕": Status.FAILED, "✖": Status.FAILED, _TIMES: Status.FAILED,
    "○": Status.SKIPPED, "↓": Status.SKIPPED,
}  # fmt: skip
_JEST = re.compile(r"([✓✕○])\s(.+?)(?:\s\(\d+\s*m?s\))?")
_VITEST = re.compile(rf"([✓{_TIMES}↓])\s(.+?)(?:\s(?:\d+\s*m?s?|\[skipped\]))?")
_JEST_JSON = re.compile(r"\[(PASSED|FAILED)\]\s(.+)")
_TAP = re.compile(r"(ok|not ok) \d+ (.+)")
_KARMA = re.compile(r"(\s*)([✔✖])?\s(.*)")
_SUITE_FILE = re.compile(r"(PASS|FAIL)\s(.*?)(?:\s\([\d.]+\s?m?s\).*)?")
_TIMED = re.compile(r"\s\([\d.]+\s?(?:ms|s)\)$")
_CALYPSO = re.compile(r"\s+([✓✕])\s(.*?)(?:\(\d+ms\))?")
_NUMBERED = re.compile(r"\d+\)\s(.*)")
_MILLISECONDS = re.compile(r"\(\d+ms\)")
_SUMMARY = re.compile(r"\n[ \t]*\d+ passing")


def _lines(pattern: re.Pattern[str], log: str) -> Iterator[re.Match[str]]:
    return (found for line in log.split("\n") if (found := pattern.fullmatch(line.strip())))


def _jest(log: str) -> Found:
    """With --verbose."""
    return ((found[2].strip(), _SIGNS[found[1]]) for found in _lines(_JEST, log))


def _vitest(log: str) -> Found:
    """With --reporter=verbose."""
    return ((found[2], _SIGNS[found[1]]) for found in _lines(_VITEST, log))


def _jest_json(log: str) -> Found:
    """Of --json, made into lines by the script."""
    return ((found[2], Status(found[1])) for found in _lines(_JEST_JSON, log))


def _immutable(log: str) -> Found:
    """In either form, by the instance."""
    return _jest_json(log) if any(_lines(_JEST_JSON, log)) else _jest(log)


def _tap(log: str) -> Found:
    return ((found[2], Status.PASSED if found[1] == "ok" else Status.FAILED) for found in _lines(_TAP, log))


def _karma(log: str) -> Found:
    """The browser's part, up to its summary; a test's name has its suites in it."""
    indent, suites, started = -1, list[str](), False
    for line in log.split("\n"):
        if line.startswith("SUMMARY:"):
            return
        if "Starting browser" in line:
            started = True
        elif started and (found := _KARMA.match(line)):
            blanks, sign, name = found.groups()
            if sign:
                yield " > ".join([*suites, name]), _SIGNS[sign]
            elif len(blanks) > indent and blanks:
                indent = len(blanks)
                suites.append(name)
            elif blanks and len(blanks) < indent:
                indent = len(blanks)
                suites[-1:] = []


def _suite_files(log: str) -> Found:
    """Jest without --verbose: a file passes or fails as a whole."""
    found = (_SUITE_FILE.fullmatch(line) for line in log.split("\n"))
    return ((one[2], Status.PASSED if one[1] == "PASS" else Status.FAILED) for one in found if one)


def _grommet(log: str) -> Found:
    """The same; a file that failed once and then passed has passed."""
    for word, status in (("FAIL", Status.FAILED), ("PASS", Status.PASSED)):
        for line in log.split("\n"):
            if re.match(rf"{word}\s", line):
                yield _TIMED.sub("", line[5:].strip()), status


def _calypso(log: str) -> Found:
    """Several runs of Jest; suites by their indentation."""
    suites: list[tuple[str, int]] = []
    for part in log.split(" ./node_modules/.bin/jest ")[1:]:
        for line in part.split("\n"):
            if line.startswith(("Test Suites", "  ● ")):
                break
            indent = len(line) - len(line.lstrip())
            if found := _CALYPSO.fullmatch(line):
                yield f"{' - '.join(name for name, _ in suites)} - {found[2]}".strip(), _SIGNS[found[1]]
            elif indent:
                while suites and suites[-1][1] >= indent:
                    suites.pop()
                suites.append((line.strip(), indent))


def _highlightjs(log: str) -> Found:
    """Mocha's spec, up to its summary."""
    suite = list[str]()
    for line in _SUMMARY.split(log, maxsplit=1)[0].split("\n"):
        text = line.strip()
        if text.startswith(("✓", "✔")):
            yield ".".join([*suite, _MILLISECONDS.sub("", text[1:]).strip()]), Status.PASSED
        elif re.match(r"\d+\)", text):
            name = _MILLISECONDS.sub("", text.split(")", 1)[1]).strip()
            yield ".".join([*suite, name]), Status.FAILED
        elif line.startswith("  "):
            suite = [text]


def _prismjs(log: str) -> Found:
    """Mocha's JSON, once a run of the command."""
    for part in log.split("./node_modules/.bin/mocha tests/run.js --reporter json")[1:]:
        try:
            said = json.loads("{" + part.partition("{")[2].rpartition("}")[0] + "}")
            for list_of, status in (("failures", Status.FAILED), ("passes", Status.PASSED)):
                for test in said[list_of]:
                    yield str(test["fullTitle"]), status
        except (ValueError, KeyError, TypeError):
            continue


def _failures(*patterns: re.Pattern[str], strip_escapes: bool = False) -> Callable[[str], Found]:
    """A parser of runners that name only what failed; the last group of a pattern is the name."""

    def parsed(log: str) -> Found:
        text = _ESCAPE.sub("", log) if strip_escapes else log
        for pattern in patterns:
            for found in pattern.finditer(text):
                yield found[found.re.groups], Status.FAILED

    return parsed


def _joined(parser: Callable[[str], Found]) -> Callable[[str], Found]:
    """The same, with all white space in names made one blank."""
    return lambda log: ((" ".join(name.split()), status) for name, status in parser(log))


def _marked(log: str) -> Found:
    found: Iterable[re.Match[str] | None] = (_NUMBERED.match(line) for line in log.split("\n"))
    return ((one[1].strip(), Status.FAILED) for one in found if one)


JAVASCRIPT: Mapping[str, Callable[[str], Found]] = {
    "parse_log_jest": _jest,
    "parse_log_jest_json": _jest_json,
    "parse_log_vitest": _vitest,
    "parse_log_immutable_js": _immutable,
    "parse_log_tap": _tap,
    "parse_log_karma": _karma,
    "parse_log_react_pdf": _suite_files,
    "parse_log_carbon": _suite_files,
    "parse_log_grommet": _grommet,
    "parse_log_calypso": _calypso,
    "parse_log_highlightjs": _highlightjs,
    "parse_log_prismjs": _prismjs,
    "parse_log_marked": _marked,
    "parse_log_chart_js": _failures(
        re.compile(r"Chrome\s[\d.]+[^\S\r\n]\(.+?\)[^\S\r\n](.*)FAILED$", re.MULTILINE), strip_escapes=True
    ),
    "parse_log_eslint": _joined(_failures(re.compile(r"\s{2}\d+\)([\s\S]*?)\s+(?:.*)Error"))),
    "parse_log_bpmn_js": _failures(
        re.compile(r"2KPhantomJS\s[\d.]+\s\(Linux\s[\d.]+\)\s(.*)FAILED\n"),
        re.compile(r"2KPhantomJS\s[\d.]+\s\(Linux\sx86_64\)\s(.*)FAILED\n"),
        re.compile(r"Chrome\sHeadless\s.*\s\(Linux\sx86_64\)\s(.*)FAILED\n"),
        re.compile(r"HeadlessChrome\s[\d.]+\s\(Linux\s[\d.]+\)\s(.*)FAILED\n"),
    ),
    "parse_log_openlayers": _joined(
        _failures(
            re.compile(r"Chrome\sHeadless\s[\d.]+\s\(Linux\s[\d._\S]+\)\s(.*)\sFAILED\n"),
            re.compile(r"Chrome\s[\d.]+\s\(Linux\s[\d._\S]+\)\s(.*)FAILED\n"),
            re.compile(r"^\s{2}\d+\)([\s\S]*?)Error:", re.MULTILINE),
            re.compile(r"^case\s(.*):\smismatch", re.MULTILINE),
        )
    ),
}

NAMES_FAILURES = frozenset(
    {"parse_log_bpmn_js", "parse_log_chart_js", "parse_log_eslint", "parse_log_marked", "parse_log_openlayers"}
)
"""Those of runners that do not name a test that passes."""

"""Logs of the test runners of C, C++, Go, Java, PHP, Ruby and Rust."""

import re
from collections import deque
from collections.abc import Callable, Mapping

from qcode_evals.parsers.status import Found, Status

_PASSED, _FAILED, _SKIPPED = Status.PASSED, Status.FAILED, Status.SKIPPED
_LARGEST_XML = 20_000_000


def _by_line(pattern: str, words: Mapping[str, Status], *, name_first: bool = False) -> Callable[[str], Found]:
    """A parser of one line a test: groups of the pattern are the word and the name, or the other way round."""
    compiled = re.compile(pattern)

    def parsed(log: str) -> Found:
        for line in log.split("\n"):
            if found := compiled.match(line.strip()):
                name, word = found.group(1, 2) if name_first else found.group(2, 1)
                if word in words:
                    yield name, words[word]

    return parsed


_go = _by_line(r"--- (PASS|FAIL|SKIP): (.+) \(.+\)$", {"PASS": _PASSED, "FAIL": _FAILED, "SKIP": _SKIPPED})
_cargo = _by_line(r"test\s+(\S+)\s+\.\.\.\s+(\w+)$", {"ok": _PASSED, "FAILED": _FAILED}, name_first=True)
_jq = _by_line(r"(PASS|FAIL):\s(.+)$", {"PASS": _PASSED, "FAIL": _FAILED})
_micropython = _by_line(r"(pass|FAIL|skip)\s+(.+)$", {"pass": _PASSED, "FAIL": _FAILED, "skip": _SKIPPED})
_googletest = _by_line(r".*\[\s*(OK|FAILED)\s*\]\s(.*)\s\(.*\)$", {"OK": _PASSED, "FAILED": _FAILED})
_ant = _by_line(r"\[junit\]\s+\[(PASS|FAIL|ERR)\]\s+(.*)$", {"PASS": _PASSED, "FAIL": _FAILED, "ERR": _FAILED})
_minitest = _by_line(r"(.+)\. .*=.*(\.|F|E).*$", {".": _PASSED, "F": _FAILED, "E": _FAILED}, name_first=True)
_cucumber = _by_line(r"(.*) \.+(\.|F)", {".": _PASSED, "F": _FAILED}, name_first=True)
_rspec = _by_line(r"(.+) - (passed|failed)", {"passed": _PASSED, "failed": _FAILED}, name_first=True)
_test_unit = _by_line(
    r"(?:test: )?(.+):\s+(\.|E\b|F\b|O\b)", {".": _PASSED, "E": _FAILED, "F": _FAILED, "O": _SKIPPED},
    name_first=True,
)  # fmt: skip

_REDIS = re.compile(r"\[(ok|err|skip|ignore)\]:\s(.+?)(?:\s\(\d+\s*m?s\))?$")
_REDIS_WORDS = {"ok": _PASSED, "err": _FAILED, "skip": _SKIPPED, "ignore": _SKIPPED}
_IN_FILE = re.compile(r"\s+in\s+\S+$")


def _redis(log: str) -> Found:
    """The name of one that failed has its file behind it."""
    for line in log.split("\n"):
        if found := _REDIS.match(line.strip()):
            word, name = found.groups()
            yield _IN_FILE.sub("", name) if word == "err" else name, _REDIS_WORDS[word]


def _doctest(log: str) -> Found:
    """doctest's XML (-s -r=xml): a subcase passes if all its expressions do."""
    start = log.find("<doctest")
    end = log.find("</doctest>", start)
    text = log[start : end + len("</doctest>")]
    # No entity is known to a log that is honest; with one, a short text could be made very long.
    if start < 0 or end < 0 or len(text) > _LARGEST_XML or "<!ENTITY" in text:
        return
    import xml.etree.ElementTree as ElementTree  # takes a fifth of the start of child.py

    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return
    for case in root.iter("TestCase"):
        for part in case.iter("SubCase"):
            good = all(expression.get("success") == "true" for expression in part.iter("Expression"))
            yield f"{case.get('name')} > {part.get('name')}", _PASSED if good else _FAILED


_MAVEN_TEST = re.compile(r".*-Dtest=(\S+)")
_MAVEN_RESULT = re.compile(r".*BUILD (SUCCESS|FAILURE)$")


def _maven(log: str) -> Found:
    """Each test is a run of its own: names from the traced commands, in the order of the results."""
    names, results = deque[str](), deque[str]()
    for line in log.split("\n"):
        text = line.strip()
        if found := _MAVEN_TEST.match(text):
            names.append(found[1])
        if found := _MAVEN_RESULT.match(text):
            if names:
                yield names.popleft(), _PASSED if found[1] == "SUCCESS" else _FAILED
            else:
                results.append(found[1])
    while names and results:
        yield names.popleft(), _PASSED if results.popleft() == "SUCCESS" else _FAILED


_GRADLE = re.compile(r"([^>].+)\s+(PASSED|FAILED)$")
_GRADLE_NAME = re.compile(r"([^>]\S*\s+>\s+\S+)$")


def _gradle(log: str) -> Found:
    """A name and its status, which may come some lines later."""
    waiting = ""
    for line in log.split("\n"):
        text = line.strip()
        if found := _GRADLE.match(text):
            waiting = ""
            yield found[1], Status(found[2])
        elif found := _GRADLE_NAME.match(text):
            waiting = found[1]
        elif waiting and text in {"PASSED", "FAILED"}:
            yield waiting, Status(text)
            waiting = ""


_PHP_SUITE = re.compile(r"(\w.+) \(.+\)$")
_PHP_TEST = re.compile(r"\s*([✔✘↩])\s*(.*)$")
_PHP_SIGNS = {"✔": _PASSED, "✘": _FAILED, "↩": _SKIPPED}


def _phpunit(log: str) -> Found:
    """With --testdox."""
    suite: str | None = None
    for line in log.split("\n"):
        if found := _PHP_SUITE.match(line):
            suite = found[1]
        elif found := _PHP_TEST.match(line):
            yield f"{suite} > {found[2]}", _PHP_SIGNS[found[1]]


def _jekyll(log: str) -> Found:
    """In either form, by the instance."""
    return _minitest(log) if next(_minitest(log), None) else _cucumber(log)


OTHERS: Mapping[str, Callable[[str], Found]] = {
    "parse_log_ant": _ant,
    "parse_log_cargo": _cargo,
    "parse_log_cucumber": _cucumber,
    "parse_log_doctest": _doctest,
    "parse_log_googletest": _googletest,
    "parse_log_gotest": _go,
    "parse_log_gradle_custom": _gradle,
    "parse_log_jekyll": _jekyll,
    "parse_log_jq": _jq,
    "parse_log_maven": _maven,
    "parse_log_micropython_test": _micropython,
    "parse_log_minitest": _minitest,
    "parse_log_phpunit": _phpunit,
    "parse_log_redis": _redis,
    "parse_log_rspec_transformed_json": _rspec,
    "parse_log_ruby_unit": _test_unit,
}

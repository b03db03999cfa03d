import pytest

from qcode_evals.parsers.logparse import PARSERS, UNREADABLE, parse, parse_each, status_of
from qcode_evals.parsers.status import Status

PYTEST_LOG = """\
test session starts
a.py .F                                                                   [100%]
=========================== short test summary info ============================
PASSED a.py::test_one
PASSED a.py::test_param[x y]
SKIPPED [2] a.py:3: not here
XFAIL a.py::test_known - reason
FAILED a.py::test_two - AssertionError: assert 1 == 2
ERROR a.py::test_three - fixture 'x' not found
1 failed, 2 passed
"""


def test_pytest_summary_gives_every_test_its_status() -> None:
    assert parse("parse_log_pytest", PYTEST_LOG) == {
        "a.py::test_one": Status.PASSED,
        "a.py::test_param[x": Status.PASSED,
        "a.py::test_known": Status.XFAIL,
        "a.py::test_two": Status.FAILED,
        "a.py::test_three": Status.ERROR,
    }


def test_a_number_of_skipped_tests_is_not_a_test() -> None:
    assert parse("parse_log_pytest", "SKIPPED [1] a.py:1: x\nSKIPPED a.py::test_x\n") == {
        "a.py::test_x": Status.SKIPPED
    }


def test_options_keep_the_last_part_of_a_path() -> None:
    log = "PASSED a.py::test[/tmp/x/file.txt]\nPASSED a.py::test[//keep/this]\nPASSED a.py::test[/a*b/c]\n"
    assert list(parse("parse_log_pytest_options", log)) == [
        "a.py::test[/file.txt]",
        "a.py::test[//keep/this]",
        "a.py::test[/a*b/c]",
    ]


def test_v2_reads_colours_and_statuses_at_the_end_of_a_line() -> None:
    log = "\x1b[32mPASSED\x1b[0m a.py::\x1b[1mtest_one\x1b[0m\nold.py::test_two PASSED\nold.py::test_three FAILED\n"
    assert parse("parse_log_pytest_v2", log) == {
        "a.py::test_one": Status.PASSED,
        "old.py::test_two": Status.PASSED,
        "old.py::test_three": Status.FAILED,
    }


def test_v2_keeps_blanks_in_names() -> None:
    log = "PASSED a.py::test[x, y-z]\nFAILED a.py::test[x, q] - AssertionError: PASSED\nSKIPPED [1] a.py:3: no\n"
    assert parse("parse_log_pytest_v2", log) == {"a.py::test[x, y-z]": Status.PASSED, "a.py::test[x, q]": Status.FAILED}


def test_seaborn_reads_both_orders() -> None:
    log = "PASSED tests/a.py::x\ntests/b.py::y PASSED [ 50%]\nFAILED tests/c.py::z - TypeError\n"
    assert parse("parse_log_seaborn", log) == {
        "tests/a.py::x": Status.PASSED,
        "tests/b.py::y": Status.PASSED,
        "tests/c.py::z": Status.FAILED,
    }


def test_sympy_runner() -> None:
    log = """\
sympy/core/tests/test_numbers.py[3]
test_good ok
test_bad F
test_broken E                                                             [FAIL]
test_last E
________________________________________________________________________________
_____________ sympy/core/tests/test_numbers.py:test_bad _____________
"""
    assert parse("parse_log_sympy", log) == {
        "test_good": Status.PASSED,
        "test_bad": Status.FAILED,
        "test_last": Status.ERROR,
        "sympy/core/tests/test_numbers.py:test_bad": Status.FAILED,
    }


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("t[a", Status.PASSED),  # cut in the middle of its parameters: both that begin so agree
        ("t[b", None),  # they do not agree
        ("t[c", None),
        ("t", None),
        ("t[a1]", Status.PASSED),
    ],
)
def test_a_cut_list_entry_stands_for_those_that_begin_with_it(listed: str, expected: Status | None) -> None:
    statuses = {"t[a1]": Status.PASSED, "t[a2]": Status.XFAIL, "t[b1]": Status.PASSED, "t[b2]": Status.FAILED}
    assert status_of(listed, statuses) == expected


P, F, S = Status.PASSED, Status.FAILED, Status.SKIPPED


@pytest.mark.parametrize(
    ("parser", "log", "found"),
    [
        (
            "gotest",
            "--- PASS: TestA (0.00s)\n    --- FAIL: TestA/sub case (0.10s)\n--- SKIP: TestB (0.00s)\nok x",
            {"TestA": P, "TestA/sub case": F, "TestB": S},
        ),
        (
            "cargo",
            "test a::b ... ok\ntest a::c ... FAILED\ntest a::d ... ignored\ntest result: FAILED.",
            {"a::b": P, "a::c": F},
        ),
        (
            "jest",
            "PASS src/a.test.js\n  ✓ adds (3 ms)\n  ✕ takes away\n  ○ skipped later",
            {"adds": P, "takes away": F, "skipped later": S},
        ),
        ("jest_json", "[PASSED] a > b\n[FAILED] a > c", {"a > b": P, "a > c": F}),
        (
            "vitest",
            " ✓ a.ts > adds 3ms\n \N{MULTIPLICATION SIGN} a.ts > breaks 12ms\n ↓ a.ts > later [skipped]",
            {"a.ts > adds": P, "a.ts > breaks": F, "a.ts > later": S},
        ),
        ("tap", "TAP version 13\nok 1 - adds\n    not ok 2 - breaks\n# ok 3 - a remark", {"- adds": P, "- breaks": F}),
        (
            "karma",
            "  ✔ before\nStarting browser Chrome\n  suite\n    ✔ works\n    ✖ breaks\nSUMMARY:\n  ✔ 1 test",
            {"suite > works": P, "suite > breaks": F},
        ),
        ("react_pdf", "PASS src/a.test.js (5.2 s)\nFAIL src/b.test.js", {"src/a.test.js": P, "src/b.test.js": F}),
        ("grommet", "PASS src/a.js (1.2 s)\nFAIL src/a.js", {"src/a.js": P}),
        (
            "calypso",
            "$ ./node_modules/.bin/jest x\n  group\n    ✓ works (5ms)\n    ✕ breaks\n  ● group",
            {"group - works": P, "group - breaks": F},
        ),
        (
            "highlightjs",
            "  suite\n    ✔ works\n    1) breaks\n\n  1 passing (3s)\n  1) suite\n",
            {"suite.works": P, "suite.breaks": F},
        ),
        (
            "prismjs",
            "./node_modules/.bin/mocha tests/run.js --reporter json\n"
            '{"passes": [{"fullTitle": "a b"}], "failures": []}\n',
            {"a b": P},
        ),
        ("marked", "1) should work\n   2) not at the beginning", {"should work": F}),
        ("chart_js", "\x1b[31mChrome 99.0 (Linux x86_64) bars are drawn FAILED\x1b[39m", {"bars are drawn ": F}),
        ("eslint", "  1) rules\n     no-undef:\n   AssertionError: x", {"rules no-undef:": F}),
        ("openlayers", "case foo': mismatch", {"foo'": F}),
        (
            "redis",
            "[ok]: SET works (3 ms)\n[err]: GET fails in tests/unit/x.tcl\n[ignore]: later",
            {"SET works": P, "GET fails": F, "later": S},
        ),
        ("jq", "PASS: one\nFAIL: two", {"one": P, "two": F}),
        (
            "micropython_test",
            "pass  basics/a.py\nFAIL  basics/b.py\nskip  basics/c.py",
            {"basics/a.py": P, "basics/b.py": F, "basics/c.py": S},
        ),
        ("googletest", "[       OK ] a.b (0 ms)\n[  FAILED  ] a.c (1 ms)", {"a.b": P, "a.c": F}),
        (
            "doctest",
            '<doctest><TestCase name="t"><SubCase name="a"><Expression success="true"/></SubCase>'
            '<SubCase name="b"><Expression success="false"/></SubCase></TestCase></doctest>',
            {"t > a": P, "t > b": F},
        ),
        ("doctest", '<!DOCTYPE x [<!ENTITY a "b">]><doctest', {}),
        (
            "maven",
            "+ mvn test -Dtest=A#b\n[INFO] BUILD SUCCESS\n+ mvn test -Dtest=A#c\n[INFO] BUILD FAILURE",
            {"A#b": P, "A#c": F},
        ),
        ("ant", "   [junit] [PASS] testA(x)\n   [junit] [ERR] testB", {"testA(x)": P, "testB": F}),
        ("gradle_custom", "x.Test > a PASSED\nx.Test > b\nwarning: slow\nFAILED", {"x.Test > a": P, "x.Test > b": F}),
        (
            "phpunit",
            "Calc (Tests\\Calc)\n ✔ It works\n ✘ It fails\n ↩ It waits",
            {"Calc > It works": P, "Calc > It fails": F, "Calc > It waits": S},
        ),
        ("minitest", "TestX#test_a. = 0.01 s = .\nTestX#test_b. = 0.02 s = F", {"TestX#test_a": P, "TestX#test_b": F}),
        (
            "cucumber",
            "features/a.feature ....\nfeatures/b.feature ..F",
            {"features/a.feature": P, "features/b.feature": F},
        ),
        ("ruby_unit", "  test_a:\t.: (0.0002)\n  test_b:\tF", {"test_a": P, "test_b": F}),
        ("rspec_transformed_json", "works - passed\nbreaks - failed", {"works": P, "breaks": F}),
    ],
)
def test_other_languages(parser: str, log: str, found: dict[str, Status]) -> None:
    assert parse(f"parse_log_{parser}", log) == found


def test_every_parser_of_swe_bench_is_read_or_named_as_not() -> None:
    assert len(PARSERS) == 53
    assert not PARSERS & UNREADABLE
    for parser in PARSERS:
        assert parse(parser, "\x00\n)(*\n" * 3) == {}, "what is no result is none"


def test_all_that_is_said_of_a_test_is_kept() -> None:
    log = "--- PASS: TestA (0.00s)\n--- FAIL: TestA (0.00s)\n--- PASS: TestA (0.00s)\n"
    assert parse_each("parse_log_gotest", log) == {"TestA": [P, F, P]}
    assert parse("parse_log_gotest", log) == {"TestA": P}, "as SWE-bench reads it"

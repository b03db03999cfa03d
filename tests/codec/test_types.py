"""Rules T1 to T8: what an argument's text becomes by its schema."""

import pytest

from qcode.codec import parse

DEFS = {
    "Point": {"type": "object", "properties": {"x": {"type": "integer"}}},
    "Count": {"$ref": "#/$defs/Deep"},
    "Deep": {"type": "integer"},
    "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"type": "boolean"}]},
    "a/b~c": {"type": "number"},
}


def union(*kinds):
    return {"anyOf": [{"type": kind} for kind in kinds]}


STRING, INTEGER, NUMBER, BOOLEAN, ARRAY, OBJECT = (
    {"type": kind} for kind in ("string", "integer", "number", "boolean", "array", "object")
)
NULLABLE_INT = union("integer", "null")

SAME = object()

VALUES = [
    *(("T1", STRING, text, SAME) for text in ("42", "null", "None", "True", '{"a":1}', "[1]", " x ", '"q"', "1e3", "")),
    ("T1 list of one type", {"type": ["string"]}, "42", SAME),
    ("T1 enum of strings", {"enum": ["1", "2"]}, "1", SAME),
    ("T1 const", {"const": "7"}, "7", SAME),
    ("T1 alias", {"type": "str"}, "7", SAME),
    ("T2", NULLABLE_INT, "null", None),
    ("T2", NULLABLE_INT, "None", None),
    ("T2", NULLABLE_INT, " null ", None),
    ("T2", NULLABLE_INT, "3", 3),
    ("T2", {"type": ["integer", "null"]}, "null", None),
    ("T2", {"type": "integer", "nullable": True}, "null", None),
    ("T2", {"type": "null"}, "None", None),
    ("T2", union("string", "null"), "null", None),
    ("T2", union("string", "null"), "None", SAME),
    ("T2", union("string", "null"), " null ", SAME),
    ("T2", union("string", "null"), "42", SAME),
    ("T2", union("array", "null"), "null", None),
    ("T2 not nullable", INTEGER, "null", SAME),
    ("T3", INTEGER, "42", 42),
    ("T3", INTEGER, " -7\t", -7),
    ("T3", INTEGER, "0", 0),
    ("T3", INTEGER, "123456789012345678901234567890", 123456789012345678901234567890),
    ("T3", NUMBER, "3.5", 3.5),
    ("T3", NUMBER, "3", 3),
    ("T3", NUMBER, "-1.5e-3", -0.0015),
    ("T3", {"type": "float"}, "1.5", 1.5),
    ("T3", {"type": "int"}, "15", 15),
    ("T3", {"enum": [1, 2]}, "2", 2),
    ("T3", {"const": 5}, "5", 5),
    *(
        ("T3 text", INTEGER, text, SAME)
        for text in ("10px", "1,000", "1_000", "007", "+5", "0x10", "", "3.5", "NaN", "٣", "1e999", "--1", "9" * 5000)
    ),
    *(
        ("T3 text", NUMBER, text, SAME)
        for text in ("NaN", "Infinity", "-Infinity", "inf", "1e999", ".5", "5.", "1.5.2", "1e", "true", "12 13")
    ),
    *(("T4", BOOLEAN, text, True) for text in ("true", "True", "TRUE", " true\n", "tRuE")),
    *(("T4", BOOLEAN, text, False) for text in ("false", "False", "FALSE")),
    *(("T4 text", BOOLEAN, text, SAME) for text in ("1", "0", "yes", "no", "", "null", "truee", "on")),
    ("T4", {"type": "bool"}, "true", True),
    ("T5", ARRAY, "[1, 2]", [1, 2]),
    ("T5", ARRAY, '\t["a", null, true]\n', ["a", None, True]),
    ("T5", ARRAY, "['a', None, True]", ["a", None, True]),
    ("T5", ARRAY, "[('a', 1)]", [["a", 1]]),
    ("T5", ARRAY, "(1, 2)", [1, 2]),
    ("T5", ARRAY, '["\\d"]', ["\\d"]),
    ("T5", OBJECT, '{"a": {"b": [1]}}', {"a": {"b": [1]}}),
    ("T5", OBJECT, "{'a': False}", {"a": False}),
    ("T5", OBJECT, '{"é": "<&>"}', {"é": "<&>"}),
    ("T5", {"type": "dict"}, "{}", {}),
    ("T5", {"type": "list"}, "[]", []),
    ("T5", {"properties": {}}, '{"a": 1}', {"a": 1}),
    ("T5", {"items": INTEGER}, "[1]", [1]),
    *(
        ("T5 text", ARRAY, text, SAME)
        for text in (
            "a, b",
            '{"a": 1}',
            "[1",
            "[NaN]",
            "[1e999]",
            "1",
            "",
            "[x]",
            "[__import__('os').getcwd()]",
            "[1 for _ in ()]",
            "[{1, 2}]",
            "[b'a']",
            '["\\ud800"]',
            "[" * 100_000,
            "(1)",
        )
    ),
    *(("T5 text", OBJECT, text, SAME) for text in ("[1]", "{1, 2}", "{", '{"a": }', "{'a': open('/x')}", "dict()")),
    ("T6", union("string", "array"), "[1]", [1]),
    ("T6", union("string", "array"), "plain", SAME),
    ("T6", union("string", "integer"), "5px", SAME),
    ("T6", union("integer", "array"), "[5]", [5]),
    ("T6", union("integer", "boolean"), "true", True),
    ("T6", union("integer", "number"), "1.5", 1.5),
    ("T6", {"oneOf": [ARRAY, OBJECT]}, '{"a": 1}', {"a": 1}),
    ("T6", {"allOf": [INTEGER]}, "5", 5),
    ("T6", {"allOf": [NUMBER, INTEGER]}, "5", 5),
    ("T6", {"allOf": [STRING, {"minLength": 1}]}, "5", SAME),
    ("T $ref", {"$ref": "#/$defs/Point"}, '{"x": 1}', {"x": 1}),
    ("T $ref", {"$ref": "#/$defs/Count"}, "5", 5),
    ("T $ref", {"$ref": "#/$defs/a~1b~0c"}, "2.5", 2.5),
    ("T $ref", {"$ref": "#/$defs/Loop"}, "true", True),
    ("T $ref", {"anyOf": [{"$ref": "#/$defs/Count"}, {"type": "null"}]}, "null", None),
    ("T $ref nowhere", {"$ref": "#/$defs/None"}, "5", SAME),
    ("T $ref elsewhere", {"$ref": "http://example.com/x"}, "5", SAME),
    ("T7 no type", {}, "5", SAME),
    ("T7 no type", {"description": "d"}, "[1]", SAME),
    ("T7 unknown type", {"type": "any"}, "5", SAME),
    ("T7 no schema", True, "5", SAME),
    ("T7 no schema", None, "5", SAME),
    ("T8 broken schema", {"type": 5}, "5", SAME),
    ("T8 broken schema", {"type": [None, {}]}, "5", SAME),
    ("T8 broken schema", {"anyOf": "x"}, "5", SAME),
    ("T8 broken schema", {"enum": 3, "$ref": []}, "5", SAME),
]


@pytest.mark.parametrize(
    ("rule", "schema", "text", "value"), VALUES, ids=[f"{case[0]} {n}" for n, case in enumerate(VALUES)]
)
def test_value(rule, schema, text, value):
    tools = [{"name": "f", "parameters": {"type": "object", "properties": {"v": schema}, "$defs": DEFS}}]
    parsed = parse(f"<tool_call>\n<function=f>\n<parameter=v>\n{text}\n</parameter>\n</function>\n</tool_call>", tools)
    found = parsed.tool_calls[0].arguments["v"]
    expected = text if value is SAME else value
    assert found == expected
    assert type(found) is type(expected)


CALL = (
    "<tool_call>\n<function={}>\n<parameter=n>\n5\n</parameter>\n<parameter=other>\ntrue\n</parameter>\n</function>\n"
    "</tool_call>"
)


@pytest.mark.parametrize(
    "tools",
    [
        pytest.param([{"name": "f"}], id="T7 without schema"),
        pytest.param([{"name": "f", "parameters": None}], id="T7 schema null"),
        pytest.param([{"name": "f", "parameters": {"properties": []}}], id="T8 broken properties"),
        pytest.param([{"name": "g", "parameters": {"properties": {"n": INTEGER}}}], id="T7 undeclared tool"),
        pytest.param([], id="T7 no tools"),
        pytest.param(None, id="T7 none"),
    ],
)
def test_t7_text_without_schema(read, tools):
    assert read(CALL.format("f"), tools).tool_calls[0].arguments == {"n": "5", "other": "true"}


def test_t7_undeclared_parameter_is_text(read):
    tools = [{"name": "f", "parameters": {"properties": {"n": INTEGER}}}]
    assert read(CALL.format("f"), tools).tool_calls[0].arguments == {"n": 5, "other": "true"}


def test_tools_in_every_form(read):
    from qcode_tools.spec import Effect, ToolSpec

    parameters = {"type": "object", "properties": {"n": INTEGER, "other": BOOLEAN}}
    forms = [
        ToolSpec("f", "d", parameters, Effect.READ),
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": parameters}},
        {"name": "f", "parameters": parameters},
        {"name": "f", "input_schema": parameters},
    ]
    for form in forms:
        assert read(CALL.format("f"), [form]).tool_calls[0].arguments == {"n": 5, "other": True}


def test_t8_a_schema_that_refers_to_itself_many_times_is_read_once():
    branches = {"anyOf": [{"$ref": f"#/$defs/{n}"} for n in range(30)]}
    definitions = {str(n): branches for n in range(29)} | {"29": BOOLEAN}
    tools = [{"name": "f", "parameters": {"properties": {"n": branches}, "$defs": definitions}}]
    assert parse(CALL.format("f").replace("\n5\n", "\ntrue\n"), tools).tool_calls[0].arguments["n"] is True

import json
from pathlib import Path
from typing import Any

import pytest

from qcode.errors import ConfigError
from qcode_evals.tasks.dataset import FilesSource, ImageSource, load, select


def row(**changes: Any) -> dict[str, Any]:
    return {
        "instance_id": "own__adder-1",
        "repo": "own/adder",
        "problem_statement": "add subtracts",
        "patch": "",
        "test_patch": "",
        "FAIL_TO_PASS": '["tests/test_adder.py::test_add"]',
        "PASS_TO_PASS": [],
        "log_parser": "parse_log_pytest",
        "eval_script": ": '>>>>> Start Test Output'\ntrue\n: '>>>>> End Test Output'\n",
        "environment": {
            "base": "debian-bookworm-py3.11",
            "source": {"files": {"adder.py": "def add(a, b): return a - b\n"}, "tree": "0" * 40},
            "something_new": 1,
        },
        "verification": {"seconds": 1},
    } | changes


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in rows), encoding="utf-8")
    return path


def test_lists_of_tests_come_as_json_text_or_as_lists(tmp_path: Path) -> None:
    (instance,) = load(write(tmp_path / "data.jsonl", row()))
    assert instance.fail_to_pass == ("tests/test_adder.py::test_add",)
    assert instance.pass_to_pass == ()
    assert isinstance(instance.environment.source, FilesSource)
    assert instance.environment.suite == "bookworm"


def test_the_digest_changes_with_any_field_but_not_with_the_order(tmp_path: Path) -> None:
    first, same, other = (
        load(write(tmp_path / "data.jsonl", data))[0].digest
        for data in (row(), dict(reversed(row().items())), row(verification={"seconds": 2}))
    )
    assert first == same != other


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: the row"),
        (row(instance_id="../escape"), "line 2: instance_id"),
        (row(FAIL_TO_PASS="not json"), "line 2: FAIL_TO_PASS"),
        (row(log_parser="parse_log_cobol"), "line 2: log_parser: log parser 'parse_log_cobol' is not known"),
        (row(eval_script="true"), "line 2: eval_script"),
        (row(environment={"base": "windows"}), "line 2: environment.base"),
        (
            row(
                environment={
                    "base": "debian-bookworm-py3.11",
                    "source": {"files": {"../../etc/passwd": ""}, "tree": "0" * 40},
                }
            ),
            "line 2: environment.source",
        ),
        (row(), "line 2: instance_id: own__adder-1 stands twice"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(tmp_path: Path, line: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path / "data.jsonl", row(), line))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "missing.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "binary")
    with pytest.raises(ConfigError, match="no rows"):
        load(write(tmp_path / "empty.jsonl", ""))


def test_select(tmp_path: Path) -> None:
    instances = load(write(tmp_path / "data.jsonl", row(), row(instance_id="b"), row(instance_id="c")))
    assert [i.instance_id for i in select(instances, ids=("c", "own__adder-1"))] == ["own__adder-1", "c"]
    assert [i.instance_id for i in select(instances, limit=2)] == ["own__adder-1", "b"]
    with pytest.raises(ConfigError, match="no instance d"):
        select(instances, ids=("d",))


def test_json_as_a_list_or_by_name(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    for value in ([row()], {"own__adder-1": row()}):
        path.write_text(json.dumps(value), encoding="utf-8")
        assert [instance.instance_id for instance in load(path)] == ["own__adder-1"]
    path.write_text(json.dumps([row(), row(instance_id="..")]), encoding="utf-8")
    with pytest.raises(ConfigError, match="row 2: instance_id"):
        load(path)
    path.write_text('"text"', encoding="utf-8")
    with pytest.raises(ConfigError, match="neither a list"):
        load(path)


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
def test_what_an_editor_on_windows_saved(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(
        b"\xef\xbb\xbf" + json.dumps([row()] if name == "data.json" else row()).encode() + b"\r\n"
    )
    assert [instance.instance_id for instance in load(tmp_path / name)] == ["own__adder-1"]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "data.parquet"
    rows = [
        row(environment=json.dumps(row()["environment"]), image=""),
        row(instance_id="b", environment=None, image="own/b:1", PASS_TO_PASS=["x"]),
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    first, second = load(path)
    assert isinstance(first.environment.source, FilesSource)
    assert second.pass_to_pass == ("x",)
    path.write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match="cannot read the data set"):
        load(path)


def test_a_row_without_environment_has_its_tree_in_its_image(tmp_path: Path) -> None:
    bare = row(image="docker.io/own/adder:1")
    del bare["environment"]
    (instance,) = load(write(tmp_path / "data.jsonl", bare))
    assert instance.environment.source == ImageSource(image="docker.io/own/adder:1")
    assert instance.environment.workdir == "/testbed"
    with pytest.raises(ConfigError, match="environment"):
        load(write(tmp_path / "data.jsonl", bare | {"image": ""}))
    with pytest.raises(ConfigError, match="environment"):
        load(write(tmp_path / "data.jsonl", bare | {"image": "x\nRUN evil"}))

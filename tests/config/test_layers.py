"""What is set, by whom, and what is said of a mistake."""

from pathlib import Path

import pytest

from qcode.config.edit import set_value
from qcode.config.load import Loaded, known_key, load, user_file
from qcode.config.trust import examine, grant
from qcode.errors import ConfigError


def user(text: str) -> None:
    user_file().parent.mkdir(parents=True, exist_ok=True)
    user_file().write_text(text, encoding="utf-8")


def project(folder: Path, text: str) -> None:
    (folder / ".qcode").mkdir(exist_ok=True)
    (folder / ".qcode" / "config.toml").write_text(text, encoding="utf-8")


def loaded(folder: Path | None = None, **flags: object) -> Loaded:
    if folder is None:
        return load(flags=flags)
    return load(grant(folder, [".qcode/config.toml"]), flags=flags)


def test_the_later_layer_wins_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user('tools = "swe"\n[limits]\nmax_turns = 10\nmax_seconds = 5\n')
    project(tmp_path, "[limits]\nmax_turns = 20\nmax_tokens = 7\n")
    monkeypatch.setenv("QCODE_LIMITS_MAX_TURNS", "30")
    found = load(grant(tmp_path, [".qcode/config.toml"]), flags={"limits.max_turns": 40})
    limits = found.settings.limits
    assert (limits.max_turns, limits.max_tokens, limits.max_seconds) == (40, 7, 5)
    assert [(each.layer, each.value) for each in found.said("limits.max_turns")] == [
        ("flags", 40), ("environment", 30), ("project", 20), ("user", 10), ("default", 50),
    ]  # fmt: skip
    assert found.said("limits.max_tokens")[0].place == f"{tmp_path.resolve()}/.qcode/config.toml:3"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('modle = "x"', r"config\.toml:1: modle is no setting: did you mean model\?"),
        ("\n[limits]\nmax_turn = 4", r":3: limits\.max_turn is no setting: did you mean limits\.max_turns\?"),
        ("\n[limts]\nmax_turns = 4", r":2: limts is no setting: did you mean \[limits\]\?"),
        ("max_turns = 4", r":1: max_turns is no setting: did you mean limits\.max_turns\?"),
        ('[limits]\nmax_turns = "4"', r':2: limits\.max_turns must be a whole number, not "4"'),
        ('sandbox = "dokcer"', r":1: sandbox must be auto, docker, .*: did you mean docker\?"),
        ("[limits]\nmax_turns = 0", r":2: limits\.max_turns must be greater than 0, not 0"),
        ('base_url = "ftp://x"', r":1: base_url must begin with http"),
        ("limits = 3", r":1: limits is a table"),
        ('api_key = "secret"', r":1: api_key is no setting: .* \$QCODE_API_KEY"),
        ("vim = ", r"config\.toml is not TOML: .*"),
        pytest.param("a = " + "[" * 50_000, r"config\.toml is not TOML: it nests too deep$", id="too deep"),
        pytest.param("a = " + "1" * 5_000, r"config\.toml is not TOML: Exceeds the limit", id="a number without end"),
        ("[permissions]\nallow = [3]", r":2: permissions\.allow must be a list of texts"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, words: str) -> None:
    user(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load()
    assert "\n" not in str(caught.value)


def test_a_wrong_variable_and_a_misspelt_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QCODE_VIM", "maybe")
    with pytest.raises(ConfigError, match=r'^\$QCODE_VIM: vim must be true or false, not "maybe"$'):
        load()
    monkeypatch.setenv("QCODE_VIM", "")
    monkeypatch.setenv("QCODE_MODLE", "x")
    assert load().notices == ("$QCODE_MODLE sets nothing: did you mean $QCODE_MODEL?",)


def test_a_list_in_a_variable_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, words in (("[1,", "is not a list as TOML has it: "), ("[" * 50_000, "has it: it nests too deep$")):
        monkeypatch.setenv("QCODE_PERMISSIONS_ALLOW", text)
        with pytest.raises(ConfigError, match=words) as caught:
            load()
        assert len(str(caught.value)) < 300


def test_lists_of_all_layers_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user('[permissions]\ndeny = ["shell(rm *)"]\n')
    project(tmp_path, '[permissions]\ndeny = ["shell(curl *)"]\nask = ["edit(ci/**)"]\n')
    monkeypatch.setenv("QCODE_PERMISSIONS_DENY", '["shell(git push, *)"]')
    found = loaded(tmp_path).settings.permissions
    assert found.deny == ("shell(rm *)", "shell(curl *)", "shell(git push, *)")
    assert found.ask == ("edit(ci/**)",)


@pytest.mark.parametrize(
    "line",
    [
        'sandbox = "none"', 'mode = "yolo"', 'mode = "auto-edit"', 'base_url = "http://far/v1"', "offline = false",
        'editor = "sh -c evil"', "build_network = true", 'model = "evil.gguf"', 'model = "scripted:evil.jsonl"',
        'image = "/"', 'engine = "vllm"', '[permissions]\nallow = ["shell(*)"]', '[mcp.evil]\ncommand = "evil"',
        'mcp_env = ["GITHUB_TOKEN"]', 'network = "evil.test"', 'network = "indexes"',
    ],
)  # fmt: skip
def test_a_repository_cannot_make_qcode_less_careful(line: str, tmp_path: Path) -> None:
    user("offline = true\n")
    project(tmp_path, line)
    before, found = load(), loaded(tmp_path)
    assert found.settings == before.settings
    (said,) = found.notices
    assert "is passed over: " in said
    assert ".qcode/config.toml:" in said


def test_a_repository_may_make_it_more_careful(tmp_path: Path) -> None:
    project(tmp_path, 'mode = "plan"\noffline = true\nsandbox = "docker"\nmodel = "qwen3-coder-30b-a3b"\n')
    found = loaded(tmp_path)
    assert found.notices == ()
    assert (found.settings.mode, found.settings.offline, found.settings.sandbox) == ("plan", True, "docker")
    user('mode = "plan"\n')
    project(tmp_path, 'mode = "ask"\n')
    assert loaded(tmp_path).settings.mode == "plan"


def test_a_server_and_an_engine_are_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    user('base_url = "http://127.0.0.1:1/v1"\n')
    assert load(flags={"engine": "vllm"}).settings.base_url is None
    assert load(flags={"model": "qwen2.5-coder-0.5b"}).settings.base_url is None
    both = load(flags={"model": "m", "base_url": "http://127.0.0.1:2/v1"}).settings
    assert (both.model, both.base_url) == ("m", "http://127.0.0.1:2/v1")
    monkeypatch.setenv("QCODE_MODEL", "m")
    assert load().settings.base_url == "http://127.0.0.1:1/v1"
    with pytest.raises(ConfigError, match="give one of them"):
        load(flags={"engine": "vllm", "base_url": "http://127.0.0.1:2/v1"})


def test_setting_a_value_keeps_comments_and_order() -> None:
    text = "# mine\nvim = true  # hands\n\n[limits]\n# long enough\nmax_turns = 5\n"
    user(text)
    set_value(known_key("limits.max_turns"), 9)
    set_value(known_key("theme"), "dark")
    written = user_file().read_text(encoding="utf-8")
    assert "# mine\nvim = true  # hands\n" in written
    assert "# long enough\nmax_turns = 9" in written
    assert load().settings.theme == "dark"
    with pytest.raises(ConfigError, match="must be a whole number"):
        set_value(known_key("limits.max_turns"), "many")
    assert user_file().read_text(encoding="utf-8") == written


def test_nothing_of_an_untrusted_folder_counts(tmp_path: Path) -> None:
    project(tmp_path, "vim = true\n")
    assert load(examine(tmp_path)).settings.vim is False
    assert loaded(tmp_path).settings.vim is True

"""Names that models trained on other tools give to our parameters."""

_PATH = (
    "path", "file", "filename", "file_name", "file_path", "absolute_path", "filepath", "target_file", "directory",
    "dir", "folder",
)  # fmt: skip
_OLD = ("old_str", "old_string", "old_text", "old", "old_code", "search")
_NEW = ("new_str", "new_string", "new_text", "new", "new_code", "replace", "replacement", "text")

OTHER_NAMES = {
    "path": _PATH,
    "file_path": _PATH,
    "absolute_path": _PATH,
    "old_str": _OLD,
    "old_string": _OLD,
    "new_str": _NEW,
    "new_string": _NEW,
    "content": ("file_text", "contents", "text", "file_content", "code", "new_str"),
    "file_text": ("content", "contents", "text", "file_content", "code", "new_str"),
    "insert_line": ("line", "line_number", "after_line", "after"),
    "text": ("new_str", "insert_text", "content", "new_text", "code"),
    "command": ("cmd", "script", "commands", "action"),
    "timeout": ("timeout_s", "timeout_seconds", "seconds"),
    "pattern": ("regex", "query", "glob", "search", "expression"),
    "include": ("glob", "file_pattern", "include_pattern", "files"),
    "start_line": ("start", "first", "line_start", "from", "offset"),
    "end_line": ("end", "last", "line_end", "to"),
    "view_range": ("range", "lines", "line_range"),
    "offset": ("start_line", "start", "line", "from"),
    "limit": ("count", "max_lines", "max_results", "lines"),
    "background": ("is_background", "run_in_background"),
    "is_background": ("background", "run_in_background"),
    "tty": ("pty", "terminal"),
    "replace_all": ("all", "every"),
    "expected_replacements": ("expected_occurrences",),
    "name": ("symbol", "query", "identifier", "pattern"),
    "summary": ("message", "result", "answer", "text", "output", "final_answer"),
}

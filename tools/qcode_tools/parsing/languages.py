"""The languages that are parsed: which files they are in, which wheel has their grammar, what a symbol is in them."""

import importlib
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tree_sitter import Language


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar in a wheel of its own: `module` has it as the function `entry`.

    `tags` are modules whose TAGS_QUERY applies; `queries/NAME.scm` adds what they leave out.
    """

    module: str
    extensions: tuple[str, ...]
    entry: str = "language"
    tags: tuple[str, ...] = ()


_JS, _TS = "tree_sitter_javascript", "tree_sitter_typescript"

GRAMMARS = {
    "python": Grammar("tree_sitter_python", (".py", ".pyi"), tags=("tree_sitter_python",)),
    "javascript": Grammar(_JS, (".js", ".jsx", ".mjs", ".cjs"), tags=(_JS,)),
    "typescript": Grammar(_TS, (".ts", ".mts", ".cts"), entry="language_typescript", tags=(_TS,)),
    "tsx": Grammar(_TS, (".tsx",), entry="language_tsx", tags=(_TS,)),
    "go": Grammar("tree_sitter_go", (".go",), tags=("tree_sitter_go",)),
    "rust": Grammar("tree_sitter_rust", (".rs",), tags=("tree_sitter_rust",)),
    "java": Grammar("tree_sitter_java", (".java",), tags=("tree_sitter_java",)),
    "c": Grammar("tree_sitter_c", (".c",), tags=("tree_sitter_c",)),
    # A header may be of either language, and C++ reads nearly all of C.
    "cpp": Grammar(
        "tree_sitter_cpp",
        (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx", ".h", ".ipp", ".inl"),
        tags=("tree_sitter_cpp",),
    ),
    "ruby": Grammar("tree_sitter_ruby", (".rb", ".rake"), tags=("tree_sitter_ruby",)),
    "php": Grammar("tree_sitter_php", (".php",), entry="language_php", tags=("tree_sitter_php",)),
    "csharp": Grammar("tree_sitter_c_sharp", (".cs",)),
    "bash": Grammar("tree_sitter_bash", (".sh", ".bash")),
}
_BY_EXTENSION = {extension: name for name, grammar in GRAMMARS.items() for extension in grammar.extensions}


def language_of(path: str) -> str | None:
    """The language of a file, by its name; None for one that is not parsed."""
    return _BY_EXTENSION.get(PurePosixPath(path).suffix.lower())


def load_grammar(name: str) -> "Language | None":
    """The grammar, None where its wheel is not installed or does not fit the installed tree-sitter."""
    try:
        from tree_sitter import Language

        module = importlib.import_module(GRAMMARS[name].module)
        return Language(getattr(module, GRAMMARS[name].entry)())
    except (ImportError, AttributeError, ValueError):
        return None


def tags_query(name: str) -> str:
    """What a definition and a reference are, as the grammar's wheel has it and as we add to it."""
    grammar = GRAMMARS[name]
    parts = [_of_wheel(importlib.import_module(module)) for module in grammar.tags]
    stem = {"tsx": "typescript"}.get(name, name)
    own = resources.files("qcode_tools.parsing").joinpath("queries", f"{stem}.scm")
    if own.is_file():
        parts.append(own.read_text(encoding="utf-8"))
    return "\n".join(parts)


def _of_wheel(module: Any) -> str:
    return getattr(module, "TAGS_QUERY", None) or ""

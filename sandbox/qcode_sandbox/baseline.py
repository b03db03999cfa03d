"""Bash programs for the private git repository that knows the tree as it was when the sandbox was opened.

Its objects and index stand outside the work tree. Whatever a command does to `.git`, to git's configuration or to
attributes in the work tree has no effect: contents are taken byte by byte (no filter, no line end conversion).
"""

import shlex

PATCH_LIMIT = 64_000_000
"""Bytes of the largest patch that is taken out."""

NEW_FILE_LIMIT = 20_000_000
"""Bytes of the largest file, new since the start, that goes into a patch: core dumps and data sets do not."""

_EXCLUDE = (
    r"__pycache__/\n*.py[co]\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.hypothesis/\n*.egg-info/\n.qcode-*.tmp\n"
)
_ATTRIBUTES = r"* -text !eol !crlf !diff !filter !ident !working-tree-encoding\n"
_PRIVATE_CONFIG = (
    r"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfilemode = true\n\tsymlinks = true\n"
    r"\tautocrlf = false\n\tsafecrlf = false\n\tquotePath = false\n\tfsmonitor = false\n\thooksPath = /dev/null\n"
    r"\tuntrackedCache = false\n\tpager = cat\n[gc]\n\tauto = 0\n"
)
_COMMON_CONFIG = (
    r"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfilemode = true\n"
    r"[user]\n\tname = dev\n\temail = dev@localhost\n[gc]\n\tauto = 0\n"
)


def setting(workdir: str, repository: str) -> str:
    """Let git work with the private repository, and no configuration but its own."""
    return f"""
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
export HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_OPTIONAL_LOCKS=0
export GIT_TERMINAL_PROMPT=0 GIT_LITERAL_PATHSPECS=1
export GIT_DIR={shlex.quote(repository)} GIT_WORK_TREE={shlex.quote(workdir)}
cd -- {shlex.quote(workdir)} || exit 1
"""


def make(*, workdir: str, repository: str, whole_tree: bool) -> str:
    """Make `repository` with the tree as its one commit.

    `whole_tree`: every file is tracked, ignored or not (the tree is what was copied in). Else: what a repository in
    the tree tracks, and what is not ignored.
    """
    check = ""
    own_files = "find . -name .git -prune -o \\( -type f -o -type l \\) -print0"
    if not whole_tree:
        words = f"{workdir} is read-only or does not belong to the user of the sandbox: --copy works on a copy"
        check = f"[[ -w . ]] || {{ echo {shlex.quote(words)}; exit 1; }}"
        own_files = (
            "{ [ -e .git ] && env -u GIT_DIR -u GIT_WORK_TREE git -c safe.directory=* -c core.fsmonitor=false "
            "ls-files -z; git ls-files -z --others --exclude-standard; } 2>/dev/null"
        )
    return (
        "command -v git >/dev/null || { echo 'there is no git in the image'; exit 1; }\n"
        + setting(workdir, repository)
        + f"""
{check}
umask 022
env -u GIT_WORK_TREE git init -q --bare --template= "$GIT_DIR" && mkdir -p "$GIT_DIR/info" || exit 1
git symbolic-ref HEAD refs/heads/main
printf '{_PRIVATE_CONFIG}' >"$GIT_DIR/config"
printf '{_EXCLUDE}' >"$GIT_DIR/info/exclude"
printf '{_ATTRIBUTES}' >"$GIT_DIR/info/attributes"
export GIT_AUTHOR_NAME=dev GIT_AUTHOR_EMAIL=dev@localhost GIT_AUTHOR_DATE='2000-01-01T00:00:00Z'
export GIT_COMMITTER_NAME=dev GIT_COMMITTER_EMAIL=dev@localhost GIT_COMMITTER_DATE='2000-01-01T00:00:00Z'
{own_files} >"$GIT_DIR/all"
mapfile -d '' -t names <"$GIT_DIR/all"; rm -f "$GIT_DIR/all"
kept=()
for name in "${{names[@]}}"; do [[ -f $name || -L $name ]] && kept+=("${{name#./}}"); done
if ((${{#kept[@]}})); then
  printf '%s\\0' "${{kept[@]}}" | git update-index -z --add --stdin || exit 1
fi
tree=$(git write-tree) && commit=$(git commit-tree -m 'Start' "$tree" </dev/null) || exit 1
git update-ref refs/heads/main "$commit"
"""
    )


def adopt(*, workdir: str, repository: str) -> str:
    """Make `repository` the tree's own `.git` if it has none, else remove it."""
    name, tree = shlex.quote(repository), shlex.quote(workdir)
    return f"""
if [[ -e {tree}/.git || -L {tree}/.git ]]; then rm -rf -- {name}; exit; fi
mv -T -- {name} {tree}/.git && rm -f {tree}/.git/info/attributes && printf '{_COMMON_CONFIG}' >{tree}/.git/config
"""


def drop(repository: str) -> str:
    """Remove `repository`: the tree is the user's own, in which no `.git` is made."""
    return f"rm -rf -- {shlex.quote(repository)}"


def diff(*, workdir: str, repository: str, scratch: str) -> str:
    """Put out the difference between the commit in `repository` and the tree."""
    return (
        setting(workdir, repository)
        + work_folder(scratch)
        + """
mkdir "$work/objects" || exit 1
export GIT_INDEX_FILE=$work/index GIT_OBJECT_DIRECTORY=$work/objects GIT_ALTERNATE_OBJECT_DIRECTORIES=$GIT_DIR/objects

# An index without the files' times, so that each is read: one that was changed within the second that it was copied in,
# or whose times were set back, looks the same from outside.
git read-tree HEAD 2>"$errors" || fail
"""
        + stage()
        + """
git diff --cached --binary --full-index --no-ext-diff --no-textconv --no-color --no-renames \\
  --src-prefix=a/ --dst-prefix=b/ --ignore-submodules=none --submodule=short HEAD -- 2>"$errors" || fail
"""
    )


def work_folder(scratch: str) -> str:
    """Make a folder `$work` that goes with the program, and `fail`, which puts out what git complained of."""
    return f"""
work=$(mktemp -d {shlex.quote(scratch)}/patch.XXXXXX) || exit 1
errors=$work/errors
fail() {{ cat "$errors"; exit 1; }}
trap 'rm -rf -- "$work"' EXIT
"""


def stage() -> str:
    """Bring the index from whatever it knows to what the tree is."""
    return f"""
# What git could not read, or would wait for.
find . -name .git -prune -o -type d ! -perm -500 -exec chmod u+rx {{}} ';' 2>/dev/null
find . -name .git -prune -o -type f ! -perm -400 -exec chmod u+r {{}} + \\
  -o -type p -name '.git*' -exec rm -f -- {{}} + 2>/dev/null

git ls-files -z >"$work/tracked" 2>"$errors" || fail
mapfile -d '' -t names <"$work/tracked"
declare -A known=()
kept=() gone=()
for name in "${{names[@]}}"; do
  known["$name"]=1
  if [[ -f $name || -L $name ]]; then kept+=("$name"); else gone+=("$name"); fi
done
if ((${{#gone[@]}})); then
  printf '%s\\0' "${{gone[@]}}" | git update-index -z --force-remove --stdin 2>"$errors" || fail
fi

# New files; git does not look into a repository inside the tree, so those are listed by find.
git ls-files -z --others --exclude-standard >"$work/others" 2>"$errors" || fail
find . -name .git -prune -o -type f -size +{NEW_FILE_LIMIT // 1024}k -print0 >"$work/large" 2>/dev/null
mapfile -d '' -t names <"$work/large"
declare -A large=()
for name in "${{names[@]}}"; do large["${{name#./}}"]=1; done
mapfile -d '' -t names <"$work/others"
for name in "${{names[@]}}"; do
  if [[ $name == */ ]]; then
    find "./$name" \\( -name .git -o -name __pycache__ -o -name .pytest_cache \\) -prune \\
      -o \\( -type f -o -type l \\) -print0
  else
    printf '%s\\0' "$name"
  fi
done >"$work/new" 2>/dev/null
mapfile -d '' -t names <"$work/new"
for name in "${{names[@]}}"; do
  name=${{name#./}}
  [[ -z ${{large["$name"]}} && -z ${{known["$name"]}} ]] && kept+=("$name")
done
if ((${{#kept[@]}})); then
  printf '%s\\0' "${{kept[@]}}" | git update-index -z --add --replace --stdin 2>"$errors" || fail
fi
"""

"""The bash programs that do a sandbox's work inside: server.sh runs them, and fd 198 brings a payload."""

import shlex
from collections.abc import Mapping, Sequence

_CLEAN_PATH = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8\n"
_ARGUMENT_LIMIT = 100_000
"""Below the 128 KiB that Linux allows for one argument (MAX_ARG_STRLEN)."""

_STORE = 'dd of="$new" bs=1M iflag=fullblock conv=fsync status=none'

quote = shlex.quote


def _receive(size: int, consumer: str) -> str:
    """Give `size` bytes of payload to `consumer`; what it does not take is read all the same, to stay in step."""
    return f"head -c {size} <&198 | {{ {consumer}; status=$?; cat >/dev/null; exit $status; }}"


def run(
    command: str | Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdin_size: int,
    scratch: str,
) -> str:
    """Replace the process by the command."""
    lines = []
    if stdin_size:
        lines += [
            f"input={quote(scratch)}/stdin.$BASHPID",
            f"( {_receive(stdin_size, 'cat >$input')} ) || exit 1",
            'exec <"$input"; rm -f -- "$input"; unset input',
        ]
    lines.append(f"exec 198<&-; cd -- {quote(cwd)} || exit 1")
    lines += [f"export {name}={quote(value)}" for name, value in env.items()]
    if not isinstance(command, str):
        lines.append("exec -- " + " ".join(map(quote, command)))
    elif len(script := command.replace("\0", "")) * 4 < _ARGUMENT_LIMIT or len(script.encode()) < _ARGUMENT_LIMIT:
        lines.append(f"exec bash -c {quote(script)} bash")
    else:
        lines.append(f"exec bash /dev/fd/8 8<<<{quote(script)}")
    return "\n".join(lines)


def read(path: str, limit: int) -> str:
    """Put out a regular file, at most one byte more than `limit`; else an error message that ends in strerror."""
    name = quote(path)
    return (
        _CLEAN_PATH
        + f"[[ -d {name} ]] && echo ': Is a directory' && exit 1\n"
        + f"[[ -e {name} && ! -f {name} ]] && echo ': Invalid argument' && exit 1\n"
        + f"exec head -c {limit + 1} -- {name}"
    )


def write(path: str, size: int, token: str) -> str:
    """Replace a file by the payload: temporary file beside it, fsync, rename; on error a message as in `read`."""
    return (
        _CLEAN_PATH
        + f"name={quote(path)}\n"
        + 'fail() { echo ": $1"; cat_rest; exit 1; }\n'
        + f"cat_rest() {{ head -c {size} <&198 >/dev/null; }}\n"
        + '[[ $name == */ || -d $name ]] && fail "Is a directory"\n'
        + '[[ -e $name && ! -f $name ]] && fail "Invalid argument"\n'
        + "if [[ -L $name ]]; then\n"
        + '  name=$(readlink -f -- "$name") && [[ -n $name ]] || fail "Too many levels of symbolic links"\n'
        + "fi\n"
        + '[[ -e $name && ! -w $name ]] && fail "Permission denied"\n'
        + "folder=${name%/*}\n"
        + '[[ -n $folder && -e $folder && ! -d $folder ]] && fail "Not a directory"\n'
        + '[[ -d $folder/ ]] || mkdir -p -- "$folder/" || { cat_rest; exit 1; }\n'
        + f"new=$folder/.{token}.tmp\n"
        + "trap 'rm -f -- \"$new\"' EXIT\n"
        + '( : >"$new" ) || { cat_rest; exit 1; }\n'
        + f"( {_receive(size, _STORE)} ) || exit 1\n"
        + 'if [[ -e $name ]]; then chmod --reference="$name" -- "$new" || exit 1; fi\n'
        + 'mv -fT -- "$new" "$name"\n'
    )


def unpack(directory: str, size: int) -> str:
    """Unpack a tar archive of `size` bytes."""
    return _CLEAN_PATH + _receive(size, f"tar -xpf - -C {quote(directory)}")

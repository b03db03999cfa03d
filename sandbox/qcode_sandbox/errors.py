"""Errors of a sandbox: SandboxError (the user) > SandboxUnavailable, SandboxLost; SandboxFileError (the caller)."""


class SandboxError(Exception):
    """For the user: the sandbox cannot do its work; one line that says what to do. Exit code 4."""

    exit_code = 4


class SandboxUnavailable(SandboxError):
    """No sandbox can be started here: no engine answers, no image can be made."""


class SandboxLost(SandboxError):
    """A sandbox that was working went away: removed from outside, engine stopped."""


class SandboxFileError(OSError):
    """For the caller (a tool): a path in the sandbox cannot be read or written; errno and filename are set.

    ENOENT, EISDIR, EACCES, ENOSPC, EROFS, EFBIG, ELOOP and the like mean what they mean on the host.
    """

"""Shell scripts that only read, and pieces to break them with."""

READS = r"""
ls -la
cat a | grep -n foo | head -20 2>/dev/null
rg -n foo src
find . -name '*.py' -not -path './.git/*' -exec grep -l foo {} +
find . -name '*.py' -newer a -print0 | xargs -0 wc -l
git -C src log --oneline -5 && git status --short
git --no-pager diff HEAD~1 -- src
git -c color.ui=never log -3
git branch -a
git stash list
git config --get user.name
LANG=C sort a | uniq -c
env FOO=1 timeout 5 nice -n 5 ls
sh -c 'ls; cat b'
bash -lc "grep -rn foo src | wc -l"
sed -n '1,20p' x.py
sed 's/a/b/g' x
awk '{print $1, NF}' f
sed ':a;N;$!ba;s/\n/ /g' x
sed -n '/^def/,/^$/{p;q}' x
sed '5a more' x; sed 'y/abc/xyz/' x
git diff -u; git log -m -p
rg --pretty foo
unset x; unset -f y
for f in *.py; do cat "$f"; done
if [ -f x ]; then cat x; else echo no; fi
[ "$(ls | head -1)" != "x > y" ] || [ "$x" = 'a|b' ]
python3 --version; git --version
cd src && ls && pwd
set -euo pipefail; ls
test -f x && head -5 x || true
command -v git
which python3 && type ls
echo "$HOME" "$(git rev-parse HEAD)"
cat <<'EOF'
diff <(sort a) <(sort b)
ls 2>&1 >/dev/null
x=3; echo "$x"
case $1 in a) ls;; *) cat b;; esac
! grep -q foo bar
(cd src; ls) ; { pwd; }
time ls
jq '.a' x.json
export LANG=C
read -r line < file
printf '%s\n' a
echo 'a `rm x` $(rm x)' "a \`rm x\` \$(rm x)" # `rm x`
echo "${a:-b}" ${a%%.*} ${a//\`/x}
echo x | xargs
""".strip().split("\n")

PIECES = [
    "touch MARK", "$(touch MARK)", "`touch MARK`", "'", '"', "\\", "\n", " ", ";", "|", "&", "&&", "<(", ">(", ")", "(",
    "{", "}", "$((", "))", "[[", "]]", "ls", "cat", "echo", "grep", "find . -exec", "\\;", "+", "sed", "e", "awk",
    "BEGIN{system(\"touch MARK\")}", "xargs", "<<EOF", "EOF", "<<<", "#", "x=", "a[$(touch MARK)]", "$x", "${x", "@P}",
    ":-", "-v", "-eq", "1", ">", "/dev/null", "sort", "-o", "MARK", "git", "-c", "alias.s=!touch MARK", "s", "eval",
    "sh -c", "rg", "--pre", "test", "printf", "if", "then", "fi", "for", "in", "do", "done", "f()", "trap", "EXIT",
    "for PATH in", ";do", ".", "{PATH}<", "${a:-`touch MARK`}", "${a,,$(touch MARK)}", "`",
    "unset PATH", "PATH=.", "${PATH=.}", "./ls", "./env", "'['",
    "|&", "&>>", ";&", "coproc", "select", "function", "time", "\u00a0", "\u2003", "\u2028", "\u200b", "\x85",
    "\t", "$'", "*", "~", "=", "!", "env", "time", "case", "esac", "..", ",",
]  # fmt: skip
"""Each of them runs something that writes MARK, or could make another do so."""

INSERTED = [
    "|| ./evil ", "&& ./evil ", "; ./evil ", "| ./evil ", "& ./evil ", "\n./evil\n", "( ./evil )", "{ ./evil; }",
    "! ./evil ",
    "./", "PATH=. ", "PATH=", "{PATH}", "{PATH}>", "<", ">&", "<>", "\\\n", " # ", "$(", "((", '$"', "?", "[", "]",
    "evil", "./evil", "evil ", " evil", "-exec evil ;", "-exec ./evil {} +", "-delete", "-o MARK", "--output=MARK",
    "> MARK", ">MARK", "| tee MARK", "w MARK", "e evil", "1e./evil", 'system("./evil")', "unset PATH;",
    "for PATH in .;do ", ";done", "eval ", "exec ", "command ", "builtin ", "env ", "env -S", "-S./evil", "xargs ",
    "sh -c ", "bash -c ", "source ", ". ", "alias ls=./evil;", "ls(){ ./evil;};", "function ls { ./evil; };",
    "coproc ", "time ", "trap ./evil EXIT;", "<<EOF\n$(./evil)\nEOF\n", "<<'EOF'\n", "\nEOF\n", "&>", ";;", ";;&",
    "case x in ", "select PATH in .;do ", "while read PATH;do ", "if ", "then ", "a[$(./evil)]", "${a[$(./evil)]}",
    "$((a[$(./evil)]))", "-v 'a[$(./evil)]'", "printf -v PATH .;", "read PATH<<<.;", "mapfile PATH<<<.;",
    "declare PATH=.;", "local PATH=.;", "export PATH=.;", "typeset -n x=PATH;", "${PATH:=.}", "${x:=./evil}",
    "${x-./evil}", "x=./evil;", "x=evil;", "$PATH", "${!x}", "${x@P}", "-c core.pager=./evil",
    "-c alias.status=!./evil ", "--pre ./evil", "-f MARK", "-i", "-i.b", "--in-place", "set -a;", "set -x;",
    "PS4='$(./evil)';", "set -x; ", "IFS=/;", "IFS=. ", "CDPATH=.;", "HOME=.;", "cd ~;", "hash -p ./evil ls;",
    "enable -f ./x ls;", "BASH_CMDS[ls]=./evil;", "BASH_ALIASES[ls]=./evil;", "shopt -s expand_aliases;",
    "shopt -s lastpipe;", "PROMPT_COMMAND=./evil;", "BASH_ENV=./evil bash -c ls;", "LC_ALL=./evil ", "\x0b", "\r",
    "getopts a PATH -a;", "wait -p PATH;", "let PATH=1;", "PATH+=:.;", "readonly PATH=.;", "((PATH=1));",
    "for((PATH=1;;)){ ls;break;};", "until ls;do break;done;", "exec {PATH}<&0;", "ls {PATH}<&0;", "{ls,-l}",
    "l\\s", "l''s", "~+/evil", "~/evil", "$HOME/evil", "%1", "fc -s;", "!!", "history -s x;", "suspend;", "caller;",
    "compgen -C ./evil;", "compgen -W '$(./evil)';", "complete -C ./evil x;", "${a:-`./evil`}", "${a:-", "`./evil`",
    "`echo \\`./evil\\``", "${a%%$(./evil)}", "${a,,", "${a^", "${a/", "$(./evil)", "<(./evil)", '"${a:-',
    "'$(./evil)'", "@(a|$(./evil))", "=~ $(./evil)", "[[ a =~ ", "${#", "${!", "bind -x;", "ulimit -n;", "umask;",
    "logout;", "disown;", "kill 0;", "times;", "type ./evil;", "command -v ./evil;", "test ./evil;",
    "[ -v a[$(./evil)] ];", "\\[ -v 'a[$(./evil)]' ];", "echo -e;", "unset 'a[$(./evil)]';", "unset -n x;",
    "sort --files0-from=./x;", "date -f x;", "tr a b;", "uniq x MARK;", "xxd -r x MARK;", "jq -n input;",
    "stat -f x;", "ls --color;", "printenv;", "history;", "git -C . ", "git --no-pager ", "git status;",
    "git log -1;", "git diff;", "git branch x;", "git tag x;", "git grep -Oevil x;", "git ls-files;",
    "git status -- ./evil;", "$`", "$[", "$[a[$(./evil)]]", "${ ./evil; }", "${| ./evil; }", ">|MARK", "1>", "2>&1",
    ">&MARK", "<>MARK", "<<-EOF\n", "~evil", "time -p ", "[[ -v a[$(./evil)] ]];", "[[ a[$(./evil)] -eq 1 ]];",
    "${x@E}", "${@:x}", "${x:a[0]}", "${!a[$(./evil)]}", "read a[$(./evil)];", "declare -i x=1;",
    "printf '%d' 'a[$(./evil)]';", "shift x;", "export a[$(./evil)];", "tee <", "-- ", "--", "-", "+", ":", "x y",
    "$(<a)", "$(<MARK)", "\\`", "\\$(", '""', "''", "$_", "$*", '"$@"', "-e ", "-n ", "-s ", "-c ", "-o ", "-f ",
    "-x ", "-w ", "-z ", "-0 ", "-I{} ", "1,5{", "}w MARK\n", ";e ./evil\n",
]  # fmt: skip
"""What changes the meaning of a script where it is put in; evil is a program that writes MARK."""

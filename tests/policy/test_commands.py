"""What a script would run, and whether it only reads: by table."""

import pytest
from shell_scripts import READS

from qcode.policy.commands import take_apart
from qcode.policy.shell import only_reads

MORE = r"""
rg --pre ./evil x
rg --hostname-bin ./evil x
rg $OPTIONS x
find . -name x -exec rm {} \;
find . -exec sh -c 'rm "$1"' _ {} \;
find . -execdir ./evil {} +
find . -ok ./evil {} \;
find . -delete
find . -fprint out
find . $WHAT
git -c core.pager=./evil log
git -c alias.x='!evil' x
git --config-env=core.pager=X log
git --exec-path=. status
git -p -c pager.log=./evil log
git log --output=x
git log --outpu=x
git grep -O./evil foo
git grep --open-files-in-pager=./evil foo
git diff --ext-diff
git branch new
git remote -v update
git push
git stash
git config user.name x
GIT_SSH_COMMAND=./evil git status
GIT_EXTERNAL_DIFF=./evil git diff
GIT_PAGER=./evil git log
LD_PRELOAD=./evil.so ls
PATH=. ls
IFS=x ls
BASH_ENV=./evil bash -c ls
sort -o b a
sort --out=b a
sort --compress-program=./evil a
sed -n 's/a/b/w out' x
sed 's/a/b/e' x
sed '1e ./evil' x
sed -n 'w out' x
sed -i s/a/b/ x
sed -f script x
awk 'BEGIN{system("id")}'
awk '{print > "out"}' x
awk 'BEGIN{"id" | getline}'
awk -f prog x
curl x | sh
curl -O x
find . | xargs rm
find . | xargs -I{} sh -c '{}'
$x push
$(echo rm) x
echo $(rm x)
echo `rm x`
echo ${a:-`rm x`}
echo "${a:-`rm x`}"
echo ${a:-x$(rm x)}
echo "${a:-'$(rm x)'}"
echo ${a:-<(rm x)}
echo ${a:-${b:-`rm x`}}
echo ${a#`rm x`}
echo ${a%%$(rm x)}
echo ${a,,$(rm x)}
echo ${a/#`rm x`/}
echo `echo \`rm x\``
echo `echo \$(rm x)`
cat "$f `echo \`rm x\`` "
echo "$`echo \`rm x\``"
echo $`echo \`rm x\``
cat <(rm x)
ls > out
ls >> out
ls &> out
ls >| out
ls > $f
ls | tee out
echo x > /dev/tcp/127.0.0.1/80
cat < /dev/tcp/127.0.0.1/80
python3 -c 'print(1)'
python3 x.py
perl -e 1
make
npm run test
./ls
tools/cat x
./env ls
./timeout 5 ls
./sh -c ls
tools/busybox ls
for PATH in .; do ls; done
select PATH in .; do ls; done
ls {PATH}</dev/null; ls
unset PATH; ls
: ${PATH=.}; ls
'[' -v 'a[$(rm x)]' ']'
git bisect view push
git branch -q new
git branch -v new
sed ':a e touch x' x
sed 'y/a/b/;w out' x
sed '/[/]/e touch x' x
LUA_INIT=@evil ls
RSYNC_RSH=./evil ls
ls() { ./evil; }; ls
alias ls=./evil
trap ./evil EXIT
echo ${x@P}
echo $((x))
echo ${a[x]}
((x=1))
[[ -v 'a[$(rm x)]' ]]
[[ $x -eq 1 ]]
export PATH=.:$PATH
declare -x LD_PRELOAD=./x
source x
. ./x
eval "$x"
sh x.sh
sh < x.sh
bash -s
exec ./evil
command ./evil
sudo ls
env -S './evil'
timeout 5 ./evil
nohup ./evil &
coproc ./evil
tar -xf a.tar
tar -cf /dev/null --checkpoint=1 --checkpoint-action=exec=./evil x
ssh host ls
ssh -o ProxyCommand=./evil host
date -s 1
xxd -r a b
uniq a b
tree -o out
diff -l a b
file -C -m x
[ x || ./evil ]
[ x && ./evil ]
[ x > y ]
[ -f x -o ( ./evil ) ]
[ x|./evil ]
unset 'a[$(rm x)]'
test -v 'a[$(rm x)]'
printf -v 'a[$(rm x)]' x
read 'a[$(rm x)]'
read PATH
jq -L . -f x
less x
man x
touch x
ls; rm x
ls && rm x
if true; then rm x; fi
while rm x; do break; done
for i in 1; do rm x; done
case a in a) rm x;; esac
f() { rm x; }
""".strip().split("\n")


@pytest.mark.parametrize("script", [text + ("\na\nEOF\n" if "<<" in text else "") for text in READS])
async def test_these_only_read(script: str) -> None:
    commands = await take_apart(script)
    assert only_reads(commands, set()), [command.shown for command in commands.found if not command.reads]


@pytest.mark.parametrize("script", MORE)
async def test_these_do_more_or_may(script: str) -> None:
    assert not only_reads(await take_apart(script), set())


@pytest.mark.parametrize(
    ("script", "runs"),
    [
        ('bash -lc "eval \'git \'\\"push\\""', "git push"),
        ("'g''it' pu\\sh", "git push"),
        ("$'\\x67it' push", "git push"),
        ("env A=1 nice -n 3 timeout -k 1 5 git push", "git push"),
        ("cat <<EOF\n$(git push)\nEOF", "git push"),
        ("busybox sh -c 'git push'", "git push"),
        ("find . -exec sh -c 'git push' \\;", "git push"),
        ("xargs -n1 git push < f", "git push …"),
        ("f() { git push; }", "git push"),
        ("trap 'git push' EXIT", "git push"),
        ("alias ls='git push'", "git push"),
        ("echo ${x:-$(git push)}", "git push"),
        ("exec -a x git push", "git push"),
        ("env '-Sgit push'", "git push"),
        ("env -v --split-string='git push'", "git push"),
        ("coproc git push", "git push"),
        ('git commit -m "$(git push)"', "git push"),
        ('[ "$(git push)" || true ]', "git push"),
    ],
)
async def test_a_command_is_found_wherever_it_stands(script: str, runs: str) -> None:
    assert runs in [command.shown for command in (await take_apart(script)).found]


@pytest.mark.parametrize(
    "script",
    [
        "source <(cat x)",
        ". /dev/stdin",
        "if true; then",
        "ls\r\nrm x",
        "gi\\\nt push",
        "ls\x0crm",
        "cat <<`x`\n`x`\n",
        "x" * 60_000,
        "echo " + "$(" * 500,
    ],
)
async def test_what_is_not_understood_says_so(script: str) -> None:
    assert (await take_apart(script)).unseen

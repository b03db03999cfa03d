# The first process of a bubblewrap sandbox: reaps orphans (bash does), and starts what qcode asks for. Nothing inside
# can kill it. stdin is held open by qcode; at its end this process ends, and everything inside with it.
#
# $1 directory of the pipes; $2 open files, $3 processes, $4 KB of data of a process, $5 KB of a file; $6 program of a
# channel's bash; $7 work tree; the rest is the command line of the relay to the network, if there is one.
# Commands: "open NAME KIND" starts server.sh between the pipes NAME.in and NAME.out, "pack NAME FOLDER" puts an archive
# of a folder into NAME.out, "relay" starts the relay, "all" kills everything else, "ping" is answered as long as the sandbox lives.

exec 3>&1 1>/dev/null 2>&1
ulimit -c 0
ulimit -n "$2"
ulimit -u "$3"
ulimit -d "$4"
ulimit -f "$5"
cd -- "$7" || exit 1

while IFS=' ' read -r verb name word; do
  case $verb in
    open) bash --norc --noprofile -c "$6" qcode "$word" "$7" contained <"$1/$name.in" >"$1/$name.out" 3>&- & ;;
    pack) tar -C "$word" -cf - . >"$1/$name.out" 3>&- & ;;
    relay) "${@:8}" 3>&- & ;;
    all) kill -KILL -1 ;;
    ping) echo pong >&3 ;;
  esac
done

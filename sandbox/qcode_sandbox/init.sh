# The first process of a container: reaps orphans (bash does), and kills on command. Nothing inside can kill it, and it
# needs no new process to act, so it works when the limit of processes is reached.
#
# stdin is held open by qcode. At its end (qcode closed, or was killed) this process ends, and the container with it.
# Commands: "kill TAG" kills what carries the tag (see server.sh), "all" kills everything else of this user, "ping" is
# answered as long as the container lives, "relay" starts the relay to the network, whose command line $@ is.

exec 3>&1 1>/dev/null 2>&1

# tagged TAG: the numbers of the processes that carry it, in `found`.
tagged() {
  local process limits
  found=()
  for process in /proc/[0-9]*; do
    mapfile -t limits <"$process/limits" || continue
    [[ "${limits[*]}" =~ "Max file locks"\ +"$1 " ]] && found+=("${process#/proc/}")
  done
}

while IFS=' ' read -r verb tag; do
  case $verb in
    kill)
      # Stopped processes cannot fork: stop until a pass finds no new one, then kill.
      before=-1
      for pass in {1..20}; do
        tagged "$tag"
        ((${#found[@]} == before)) && break
        before=${#found[@]}
        ((before)) && kill -STOP "${found[@]}"
      done
      ((${#found[@]})) && kill -KILL "${found[@]}"
      ;;
    all) kill -KILL -1 ;;
    relay) "$@" 3>&- & ;;
    ping) echo pong >&3 ;;
  esac
done

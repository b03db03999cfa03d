# The side of a channel that lives in the sandbox: bash runs this with -c; $1 is "exec" or "shell", $2 the start directory.
#
# Requests come on fd 198 (the stdin it was started with), output and markers go to fd 199 (its stdout). A marker is
#   \0 KEY \0 status \0 left \0 oom \0 directory \0
# KEY is random, sent by the other side, and never seen by a command. "left" is 1 when a process that the command
# started still holds the output; "oom" is the text of the control group's counter of killed processes.
#
# Every process of a request carries the request's tag as its soft limit of file locks: the kernel ignores that limit
# since 2.4.25, but hands it on through fork, exec and setsid, and shows it in /proc/PID/limits. So a request's
# processes can be found, whatever they did to their parent, group, session and environment.

exec 198<&0 199>&1 0</dev/null 1>/dev/null 2>&1
oom_file=/dev/null
for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
  [[ $3 == contained && -r $file ]] && oom_file=$file
done
IFS= read -r -u 198 key

# Prefer a command to this process and to the container's first one when memory runs out.
adopt() {
  ulimit -S -x "$1"
  echo 500 >/proc/self/oom_score_adj
} 2>/dev/null

# mark STATUS [CHILD]
mark() {
  local left=0 oom process
  if [[ -n $2 ]]; then
    kill -0 -- "-$2" && left=1
    for process in /proc/[0-9]*; do
      # A later process has a higher number, but for the rare wrap.
      ((${process#/proc/} > $2)) || continue
      [[ $process/fd/1 -ef /proc/$$/fd/199 || $process/fd/2 -ef /proc/$$/fd/199 ]] && left=1 && break
    done
  fi
  mapfile -t oom <"$oom_file"
  printf '\0%s\0%s\0%s\0%s\0\0' "$key" "$1" "$left" "${oom[*]}" >&199
}

# Waits for the end of the last child. One that stopped while job control was still on counts as stopped for `wait`,
# which then returns at once: it is asked again until the process is gone.
ended() {
  local status
  wait "$!"
  status=$?
  while ((status > 128)) && kill -0 "$!" 2>/dev/null; do
    sleep 0.05
    wait "$!"
    status=$?
  done
  return "$status"
}

# A request: "KEY TAG LENGTH\n" and a program of LENGTH bytes, which may read a payload from fd 198. A payload that was
# not read to its end is no request: without the key this process ends.
serve_exec() {
  local word tag length program
  while IFS=' ' read -r -u 198 word tag length && [[ $word == "$key" ]]; do
    LC_ALL=C IFS= read -r -u 198 -N "$length" program
    set -m # a process group of its own
    (
      adopt "$tag"
      eval "$program"
    ) >&199 2>&1 199>&- &
    set +m # else wait returns when the process is stopped
    ended
    mark "$?" "$!"
  done
}

# A request to the inner shell: "TAG LENGTH\n", a script of LENGTH bytes, and a line with the KEY of its marker, which
# is read only after the script has run. One line, so that the line numbers of error messages are the script's.
inner='while IFS=" " builtin read -r -u 198 __q_tag __q_length; do LC_ALL=C IFS= builtin read -r -u 198 -N "$__q_length" __q_script; builtin ulimit -S -x "$__q_tag"; builtin eval "$__q_script" 0</dev/null 1>&199 2>&1 198<&- 199>&-; __q_status=$?; builtin read -r -u 198 __q_key; builtin mapfile -t __q_oom <"OOM_FILE"; builtin printf "\0%s\0%s\0000\0%s\0%s\0" "$__q_key" "$__q_status" "${__q_oom[*]}" "${PWD-}" 1>&199; done'

# Starts the inner shell, and again whenever it has died and a line "KEY DIRECTORY" asks for it. What was sent to the
# dead one and never read is skipped.
serve_shell() {
  local line directory
  while IFS= read -r -u 198 line; do
    [[ $line == "$key "* ]] || continue
    directory=${line#"$key "}
    set -m
    (
      cd -- "$directory" || cd -- "$1"
      adopt 1
      exec bash --norc --noprofile -c "${inner//OOM_FILE/$oom_file}" bash
    ) &
    set +m
    ended
    mark "$?"
  done
}

mark 0 # ready
case $1 in
  exec) serve_exec ;;
  shell) serve_shell "$2" ;;
esac

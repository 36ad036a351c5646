# Run one job where a batch system put it, and write down how it began and how it ended.
#
#   sh wrapper.sh FOLDER ID
#
# FOLDER holds `limits` (timeout, grace) and `command.sh` (environment, folder, log, words of the command). It takes
# the records `begin` and `exit`, written whole by a rename. ID is the batch system's own name for the job.
# For any POSIX sh on Linux: dash, bash, busybox. Everything is named sf_..., because a name that the environment
# also has would reach the command changed.

sf_folder=$1
sf_id=$2

# Write standard input as a file, whole or not at all.
sf_write() {
  cat >"$sf_folder/$1.$$" && mv -f "$sf_folder/$1.$$" "$sf_folder/$1"
}

sf_now() {
  sf_time=$(date +%s.%N)
  case $sf_time in
  *[!0-9.]*) sf_time=$(date +%s) ;; # not every date knows %N
  esac
}

sf_sleep() {
  sleep "$1" 2>/dev/null || sleep 1 # not every sleep knows fractions
}

# The command's side: run it in the foreground, because a shell tells of a foreground child that a signal ended it.
# The status alone does not: exit 137 and SIGKILL look alike.
if [ "${3-}" = inside ]; then
  trap : HUP INT TERM USR1 USR2 # they are the command's to answer
  sf_refuse() {
    printf '%s\n' "$1" >"$sf_folder/detail"
    echo 126 >"$sf_folder/code"
    exit 126
  }
  sf_prepare() { :; }
  . "$sf_folder/command.sh"
  (: >>"$sf_log") 2>/dev/null || sf_refuse "its log $sf_log cannot be written"
  cd "$sf_cwd" 2>/dev/null || sf_refuse "its folder $sf_cwd cannot be entered"
  sf_prepare >>"$sf_log" 2>&1 </dev/null
  sf_environment
  exec 2>"$sf_folder/notes"
  (exec "$@") >>"$sf_log" 2>&1 </dev/null
  echo $? >"$sf_folder/code"
  exit 0
fi

# A network disk may show a new file some seconds late.
sf_tries=0
until [ -f "$sf_folder/command.sh" ]; do
  sf_tries=$((sf_tries + 1))
  [ $sf_tries -le 30 ] || { echo "there is no job in $sf_folder" >&2; exit 125; }
  sleep 1
done

# Only the first job that comes here may run; a requeued one comes again under the same id.
if ! ln -s "$sf_id" "$sf_folder/lock" 2>/dev/null; then
  [ "$(readlink "$sf_folder/lock")" = "$sf_id" ] || exit 0
  rm -f "$sf_folder/exit" "$sf_folder/code" "$sf_folder/notes" "$sf_folder/detail" "$sf_folder/timeout" "$sf_folder/peak"
fi

sf_timeout= sf_grace=5
while IFS='=' read -r sf_word sf_value; do
  case $sf_word in
  timeout) sf_timeout=$sf_value ;;
  grace) sf_grace=$sf_value ;;
  esac
done <"$sf_folder/limits"

# Set sf_parent, sf_group and sf_session of a process; fail when it is gone.
sf_read_stat() {
  { read -r sf_line <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- ${sf_line##*) }
  sf_process_state=$1 sf_parent=$2 sf_group=$3 sf_session=$4
}

sf_above=" $$ "
if sf_read_stat $$; then
  sf_our_group=$sf_group sf_our_session=$sf_session sf_up=$sf_parent
  while [ "$sf_up" -gt 1 ] && sf_read_stat "$sf_up"; do
    sf_above="$sf_above$sf_up "
    sf_up=$sf_parent
  done
else
  sf_our_group=
fi

# Signal all processes of the job but this one, what stands above it, and its own children.
sf_signal() {
  [ -n "$sf_our_group" ] || return 0
  for sf_path in /proc/[0-9]*; do
    sf_pid=${sf_path#/proc/}
    case $sf_above in *" $sf_pid "*) continue ;; esac
    sf_read_stat "$sf_pid" || continue
    [ "$sf_parent" != $$ ] || continue
    # A session that our group leads holds nothing but this job.
    if [ "$sf_group" = "$sf_our_group" ] || { [ "$sf_session" = "$sf_our_group" ] && [ "$sf_our_session" = "$sf_our_group" ]; }; then
      kill -s "$1" "$sf_pid" 2>/dev/null
    fi
  done
}

# A batch system signals all processes of a job, or its script alone. This one tells which: it dies of the former.
sf_start_canary() {
  sleep 100000000 2>/dev/null &
  sf_canary=$!
}

sf_told=
sf_hear() {
  [ "$1" = USR1 ] || sf_told="$sf_told$1 "
  sf_sleep 0.2
  if sf_read_stat "$sf_canary" && [ "$sf_process_state" != Z ]; then
    sf_signal "$1"
  else
    sf_start_canary
  fi
}

# How many processes the kernel has killed in this job's cgroup for want of memory; nothing where that is not told.
sf_count_kills() {
  sf_kills=
  while IFS=: read -r sf_hierarchy sf_kind sf_path; do
    [ "$sf_path" != / ] || continue
    case $sf_hierarchy:$sf_kind in
    0:) sf_path=/sys/fs/cgroup$sf_path/memory.events ;;
    *:memory) sf_path=/sys/fs/cgroup/memory$sf_path/memory.oom_control ;;
    *) continue ;;
    esac
    [ -r "$sf_path" ] || continue
    while read -r sf_word sf_value; do
      [ "$sf_word" != oom_kill ] || sf_kills=$sf_value
    done <"$sf_path"
  done </proc/self/cgroup
} 2>/dev/null

# Keep the peak memory of the job's largest process, looking seldom at long jobs.
sf_watch_memory() {
  trap '' HUP INT TERM USR1 USR2
  sf_peak=0 sf_wait=1
  while :; do
    sf_sleep $sf_wait
    [ $sf_wait -ge 30 ] || sf_wait=$((sf_wait * 2))
    sf_before=$sf_peak sf_todo=$1
    while [ -n "$sf_todo" ]; do
      sf_next=
      for sf_pid in $sf_todo; do
        [ "$sf_pid" = "$1" ] || while read -r sf_word sf_value sf_unit; do
          if [ "$sf_word" = VmHWM: ] && [ "$sf_value" -gt "$sf_peak" ]; then sf_peak=$sf_value; fi
        done <"/proc/$sf_pid/status"
        sf_children=
        read -r sf_children <"/proc/$sf_pid/task/$sf_pid/children"
        sf_next="$sf_next $sf_children"
      done
      sf_todo=${sf_next# }
    done
    [ "$sf_peak" = "$sf_before" ] || echo "$sf_peak" | sf_write peak
  done
} 2>/dev/null

sf_watch_time() {
  trap '' HUP INT TERM USR1 USR2
  sf_sleep "$sf_timeout"
  : >"$sf_folder/timeout"
  sf_signal TERM
  sf_sleep "$sf_grace"
  sf_signal KILL
}

sf_host=$(uname -n)
sf_boot=
[ ! -r /proc/sys/kernel/random/boot_id ] || read -r sf_boot </proc/sys/kernel/random/boot_id
sf_now
sf_began=$sf_time
sf_write begin <<END
id=$sf_id
host=$sf_host
boot=$sf_boot
pid=$$
began=$sf_began
END
sf_count_kills
sf_kills_before=$sf_kills

sf_start_canary
trap 'sf_hear TERM' TERM
trap 'sf_hear INT' INT
trap 'sf_hear HUP' HUP
trap 'sf_hear USR1' USR1
trap 'sf_hear USR2' USR2
sf_shell=/bin/sh
[ ! -e "$sf_folder/bash" ] || ! command -v bash >/dev/null || sf_shell=bash # what a user writes is bash, where it is
# What a shell starts in the background cannot be interrupted (INT and QUIT are ignored); the command shall be as usual.
if env --default-signal=INT,QUIT true 2>/dev/null; then
  env --default-signal=INT,QUIT $sf_shell "$0" "$sf_folder" "$sf_id" inside &
elif command -v perl >/dev/null; then
  perl -e '$SIG{INT} = $SIG{QUIT} = "DEFAULT"; exec @ARGV' $sf_shell "$0" "$sf_folder" "$sf_id" inside &
else
  $sf_shell "$0" "$sf_folder" "$sf_id" inside &
fi
sf_child=$!
sf_helpers=
if [ -r "/proc/$$/task/$$/children" ]; then
  sf_watch_memory $sf_child &
  sf_helpers=$!
fi
if [ -n "$sf_timeout" ]; then
  sf_watch_time &
  sf_helpers="$sf_helpers $!"
fi
# A trap ends a wait early, so wait until there is nobody to wait for.
while :; do
  wait $sf_child
  sf_status=$?
  kill -0 $sf_child 2>/dev/null || break
done
trap '' HUP INT TERM USR1 USR2
exec 2>/dev/null # bash would tell of each of these deaths
kill -s KILL $sf_helpers $sf_canary
sf_signal KILL # nothing of a job outlives it
wait
sf_now
sf_count_kills
times >"$sf_folder/times"

sf_code=$sf_status sf_by=
if [ -s "$sf_folder/code" ]; then
  read -r sf_code <"$sf_folder/code"
  # Of these three deaths some shells say nothing, and hardly a program exits with their numbers by itself.
  case $sf_code in 130 | 141 | 143) echo >>"$sf_folder/notes" ;; esac
  [ ! -s "$sf_folder/notes" ] || [ "$sf_code" -le 128 ] || sf_by=$((sf_code - 128))
elif [ "$sf_status" -gt 128 ]; then
  sf_by=$((sf_status - 128))
fi
[ ! -e "$sf_folder/timeout" ] || sf_told="${sf_told}timeout "
sf_peak=
[ ! -r "$sf_folder/peak" ] || read -r sf_peak <"$sf_folder/peak"
sf_oom=
[ -z "$sf_kills" ] || sf_oom=$((sf_kills - ${sf_kills_before:-0}))
sf_write exit <<END
id=$sf_id
host=$sf_host
boot=$sf_boot
pid=$$
began=$sf_began
ended=$sf_time
code=$sf_code
signal=$sf_by
told=$sf_told
oom=$sf_oom
peak_kb=$sf_peak
END
[ -z "$sf_oom" ] || [ "$sf_oom" = 0 ] || [ "$sf_code" != 0 ] || exit 137
case $sf_code in
99 | 100) exit 1 ;; # Grid Engine would run the job again, or hold it for ever
*) exit "$sf_code" ;;
esac

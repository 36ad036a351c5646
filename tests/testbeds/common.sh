# What the start and stop scripts of the test beds share; sourced by them. Needs $STATE, their folder for everything.

say() { echo "$(basename "$0"): $*" >&2; }

fail() {
  say "$*"
  [ -s "$STATE/log/check" ] && { say "the last check said:"; tail -n 3 "$STATE/log/check" >&2; }
  say "logs: $STATE/log"
  exit 1
}

# is_alive NAME: the recorded process lives, and is still a program of that name (numbers are given again).
is_alive() {
  local line
  [ -s "$STATE/pid/$1" ] || return 1
  line=$(cat "/proc/$(cat "$STATE/pid/$1")/stat" 2>/dev/null) || return 1
  case $line in *"(${1:0:15}) "[!ZX]*) return 0 ;; *) return 1 ;; esac
}

# start NAME COMMAND...: in a session of its own, away from our streams, in a bare environment (daemons hand theirs on).
start() {
  local name=$1
  shift
  is_alive "$name" && return 0
  setsid env -i PATH="$PATH" LANG=C.UTF-8 HOME=/root "${DAEMON_ENV[@]}" "$@" </dev/null >>"$STATE/log/$name.log" 2>&1 &
  echo $! >"$STATE/pid/$name"
  local i
  for ((i = 0; i < 50; i++)); do # for a moment it goes by the names of setsid and env
    is_alive "$name" && break
    sleep 0.02
  done
}

# until_works NAME COMMAND...: wait until the command succeeds, as long as the daemon lives.
until_works() {
  local name=$1 limit=$((SECONDS + 60))
  shift
  until "$@" >"$STATE/log/check" 2>&1; do
    is_alive "$name" || fail "$name has ended: $(tail -n 1 "$STATE/log/$name.log")"
    [ $SECONDS -lt $limit ] || fail "$name was not ready after 60 s"
    sleep 0.1
  done
}

# stop NAME: TERM, and KILL after 10 s; only what start recorded.
stop() {
  local i
  if is_alive "$1"; then
    kill -TERM "$(cat "$STATE/pid/$1")"
    for ((i = 0; i < 100; i++)); do is_alive "$1" || break; sleep 0.1; done
    is_alive "$1" && kill -KILL "$(cat "$STATE/pid/$1")"
  fi
  rm -f "$STATE/pid/$1"
}

# install PACKAGE...: from Debian, without letting the packages start daemons of their own.
install() {
  local package missing=() policy=/usr/sbin/policy-rc.d made=
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return 0
  say "installing ${missing[*]}"
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; }
  export DEBIAN_FRONTEND=noninteractive
  if command -v debconf-set-selections >/dev/null; then
    for package in common master exec client; do
      echo "gridengine-$package shared/gridengineconfig boolean false"
    done | debconf-set-selections
  fi
  { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$STATE/log/apt.log" 2>&1 ||
    fail "apt-get cannot install ${missing[*]}: $(tail -n 1 "$STATE/log/apt.log")"
  [ -z "$made" ] || rm -f $policy
}

# name_host: this machine's own name must lead somewhere, or the daemons do not start.
name_host() {
  HOST=$(hostname -s)
  getent ahostsv4 "$HOST" >/dev/null || echo "127.0.0.1 $HOST # test bed" >>/etc/hosts
  ADDRESS=$(getent ahostsv4 "$HOST" | sed -n '1s/ .*//p')
}

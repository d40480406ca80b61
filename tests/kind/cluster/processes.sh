# shellcheck shell=bash
# The cluster's processes: each runs in the network namespace of the node, beyond the end of the command that started
# it. $STATE/run/NAME holds its id and the time of its start, for an id alone is given to others later.

start() { # NAME COMMAND…
  local name=$1
  shift
  alive "$name" && return
  {
    close_inherited
    exec setsid nsenter --net="/run/netns/$NODE" "$@"
  } >"$STATE/logs/$name.log" 2>&1 </dev/null &
  echo "$! $(began $!)" >"$STATE/run/$name"
}

# A lock or a pipe of the caller would be held for as long as the cluster runs.
close_inherited() {
  local fd
  for fd in "/proc/$BASHPID/fd"/*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || eval "exec $fd>&-"
  done
}

# When a process started, in ticks since the machine did; nothing when it is gone or dead.
began() { awk '$3 != "Z" { print $22 }' "/proc/$1/stat" 2>/dev/null || true; }

alive() { # NAME
  local id time
  { read -r id time <"$STATE/run/$1"; } 2>/dev/null && [ -n "$time" ] && [ "$(began "$id")" = "$time" ]
}

# Nothing of the cluster is kept, so nobody is asked first.
stop() { # NAME…
  local name deadline=$((SECONDS + 10))
  for name in "$@"; do
    if alive "$name"; then kill -s KILL "$(cut -d' ' -f1 "$STATE/run/$name")"; fi
  done
  for name in "$@"; do
    while alive "$name"; do
      [ $SECONDS -lt $deadline ] || fail "$name does not end"
      sleep 0.1
    done
  done
}

processes() {
  local file name
  for file in "$STATE"/run/*; do
    name=$(basename "$file")
    if alive "$name"; then echo "$name runs"; else echo "$name has ended"; fi
  done
}

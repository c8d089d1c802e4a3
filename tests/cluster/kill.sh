#!/bin/bash
# Kill a program of a pod at once, as the kernel does where memory runs out: kill.sh POD PROGRAM
# Runs on the node of the pod, since the first process of a container takes no such signal from inside of it.
set -euo pipefail
killed=
for process in /proc/[0-9]*; do
  grep -qzx "HOSTNAME=$1" "$process/environ" 2>/dev/null || continue
  grep -qz "/$2\$" "$process/cmdline" 2>/dev/null || continue
  kill -9 "${process#/proc/}" && killed=yes
done
[[ -n $killed ]] || { echo "no process of $1 runs $2" >&2; exit 1; }

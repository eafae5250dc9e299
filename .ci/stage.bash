# Sourced by the scripts beside it: names, times and counts the stages of a check.
failed=()

# stage NAME CMD...: runs CMD, prints how long it took, and remembers a failure without stopping.
stage() {
  local name=$1 began=$SECONDS verdict=ok
  shift
  "$@" || { verdict=FAILED; failed+=("$name"); }
  printf '== %-12s %6ds  %s\n' "$name" $((SECONDS - began)) "$verdict"
}

# finish WHAT: the last line; exits 1 when a stage failed.
finish() {
  [ ${#failed[@]} -eq 0 ] || { echo "== $1 FAILED after ${SECONDS}s: ${failed[*]}"; exit 1; }
  echo "== $1 passed in ${SECONDS}s"
  exit 0
}

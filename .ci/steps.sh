# For scripts to source: `step NAME COMMAND ...` runs a command, and notes its seconds in the file $CI_STEPS.
: "${CI_STEPS:=/dev/stderr}"
step() {
  local began=$SECONDS
  echo "== $1" >&2
  "${@:2}"
  printf '%5d s  %s\n' "$((SECONDS - began))" "$1" >>"$CI_STEPS"
}

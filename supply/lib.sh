# shellcheck shell=bash
# Sourced by set-up's scripts: where things lie, how they speak, and how a Debian package is installed.
# Kept to what bash 3.2 knows, because macOS brings no newer one.
set -euo pipefail

# shellcheck disable=SC2034  # used by the scripts that source this file
supply=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$supply")
own=$checkout/.local
cache=${XDG_CACHE_HOME:-$HOME/.cache}/softfactory-monitoring
state=${XDG_STATE_HOME:-$HOME/.local/state}/softfactory-monitoring

say() { printf 'set-up: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

sha256() { # of the files named, or of standard input: one hexadecimal digest
  if command -v sha256sum >/dev/null; then cat "$@" | sha256sum; else cat "$@" | shasum -a 256; fi | cut -c1-64
}

# Where the docker command's context points; what talks to the engine by itself knows DOCKER_HOST only. Nothing where the
# command is missing or knows no contexts: then the engine is where it always is.
engine_endpoint() { DOCKER_HOST='' docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true; }

# --- long work ---------------------------------------------------------------------------------------------------

last_line() { tail -n 1 "$1" | cut -c1-100; }

# watched WHAT PROGRESS LOG COMMAND...: runs the command with its output in LOG; every 20 seconds says how long it has
# been running and what PROGRESS (a function of the log) makes of it. On failure shows the log's end.
watched() {
  local what=$1 progress=$2 log=$3 since=$SECONDS watcher status=0
  shift 3
  : >"$log"
  while sleep 20 >/dev/null 2>&1 9>&- && kill -0 $$ 2>/dev/null; do # ends by itself where set-up was killed
    say "$what: $((SECONDS - since)) s, $("$progress" "$log")"
  done 9>&- &
  watcher=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$watcher" 2>/dev/null || true
  wait "$watcher" 2>/dev/null || true
  if [[ $status != 0 ]]; then tail -n 20 "$log" >&2; fi
  return "$status"
}

# --- Debian packages ---------------------------------------------------------------------------------------------

is_debian_root() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

has_candidate() { [[ $(apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]; }

refresh_package_lists() { # once per set-up: apt-cache knows nothing before the first time
  [[ -z ${package_lists_fresh-} ]] || return 0
  mkdir -p "$state"
  watched "apt-get update" last_line "$state/apt.log" apt-get update -qq \
    || fail "apt-get update failed (last lines above); the machine's apt sources have to be reachable"
  package_lists_fresh=yes
}

# install_packages WHY PACKAGE...: with announcement; packages that this release of the distribution lacks are left out.
install_packages() {
  local why=$1 package available=()
  shift
  refresh_package_lists
  for package in "$@"; do if has_candidate "$package"; then available+=("$package"); fi; done
  [[ ${#available[@]} -gt 0 ]] || fail "the machine's apt sources have none of: $*"
  say "installing ${available[*]} (apt-get): $why"
  DEBIAN_FRONTEND=noninteractive watched "apt-get install" last_line "$state/apt.log" \
    apt-get install -qq -y --no-install-recommends "${available[@]}" \
    || fail "apt-get could not install ${available[*]} (last lines above)"
}

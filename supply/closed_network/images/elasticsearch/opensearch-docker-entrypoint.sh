#!/usr/bin/env bash
# Turns environment variables with a dot in their name (cluster.name, discovery.type, ...) into settings and starts
# the node. There is no security plugin here, so DISABLE_SECURITY_PLUGIN=true is demanded rather than assumed.
set -euo pipefail

if [[ $# == 0 || $1 == -* ]]; then set -- opensearch "$@"; fi
[[ $1 == opensearch ]] || exec "$@"

if [[ $(id -u) == 0 ]]; then
  echo "search engine: it does not run as root; start the container as uid 1000" >&2
  exit 1
fi

if [[ ${DISABLE_SECURITY_PLUGIN:-false} != true ]]; then
  echo "search engine: this image has no security plugin; set DISABLE_SECURITY_PLUGIN=true, or use the official image" >&2
  exit 1
fi

settings=()
while IFS='=' read -r -d '' name value; do
  if [[ $name =~ ^[a-z0-9_]+\.[a-z0-9_] && -n $value ]]; then settings+=("-E$name=$value"); fi
done < <(env -0)

umask 0002
exec "$@" "${settings[@]}"

#!/bin/sh
# Starts the server. As in the official image, GF_X__FILE=/path gives GF_X the content of that file, and both
# forms of one setting are an error.
set -eu

for name in $(env | sed -n 's/^\(GF_[A-Za-z0-9_]*\)__FILE=..*/\1/p'); do
  eval "value=\${$name:-} file=\$${name}__FILE"
  if [ -n "$value" ]; then
    echo "ERROR: both $name and ${name}__FILE are set; give one of them" >&2
    exit 1
  fi
  if [ ! -r "$file" ]; then
    echo "ERROR: ${name}__FILE names $file, which the user $(id -u) cannot read" >&2
    exit 1
  fi
  export "$name=$(cat "$file")"
  unset "${name}__FILE"
done

exec grafana server "$@"

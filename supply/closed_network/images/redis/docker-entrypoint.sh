#!/bin/sh
# Starts redis-server as uid 999. The official build has protected mode off and Debian's has it on, so it is switched
# off unless the command or its configuration file decides. No modules are loaded: Debian has none.
set -eu

case ${1:-} in
  -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1:-}" = redis-server ]; then
  if [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis {} +
    exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
  fi
  case ${2:-} in
    '' | -*) conf=/dev/null ;;
    *) conf=$2 ;;
  esac
  case " $* " in
    *" --protected-mode "* | *" --version "* | *" -v "* | *" --help "* | *" -h "*) ;;
    *) if ! grep -Eqi '^[[:space:]]*protected-mode[[:space:]]' "$conf" 2>/dev/null; then
         set -- "$@" --protected-mode no
       fi ;;
  esac
fi

# Snapshots hold the data: nobody but the owner reads them, unless the container says otherwise.
if [ "$(umask)" = 0022 ]; then umask 0077; fi
exec "$@"

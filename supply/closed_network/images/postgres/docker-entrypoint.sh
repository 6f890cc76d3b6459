#!/usr/bin/env bash
# Starts PostgreSQL; on an empty PGDATA it first makes the cluster, the role, the database, and runs
# /docker-entrypoint-initdb.d/*.sh and *.sql against a server that listens on its socket only.
# Settings: POSTGRES_PASSWORD, POSTGRES_USER (postgres), POSTGRES_DB (the user's name), POSTGRES_INITDB_ARGS, each
# also as <NAME>_FILE; POSTGRES_HOST_AUTH_METHOD; PGDATA.
set -euo pipefail

die() { echo "postgres image: $*" >&2; exit 1; }

setting() { # NAME [default]: from NAME or from the file that NAME_FILE names
  local name=$1 file_name=$1_FILE value=${2-}
  if [[ -n ${!name-} && -n ${!file_name-} ]]; then die "$name and $file_name are both set; set one of them"; fi
  if [[ -n ${!file_name-} ]]; then
    [[ -r ${!file_name} ]] || die "$file_name names ${!file_name}, which uid $(id -u) cannot read"
    value=$(<"${!file_name}")
  elif [[ -n ${!name-} ]]; then
    value=${!name}
  fi
  export "$name=$value"
  unset "$file_name"
}

make_cluster() {
  local user=$POSTGRES_USER socket=/var/run/postgresql file method=$POSTGRES_HOST_AUTH_METHOD
  if [[ -z $POSTGRES_PASSWORD && $method != trust ]]; then
    die "PGDATA is empty and no password is given; set POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD"
  fi
  # initdb reads the password from a pipe: it appears neither in a command line nor in a file.
  # shellcheck disable=SC2086
  initdb --username="$user" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-unused}") $POSTGRES_INITDB_ARGS
  if [[ -z $method ]]; then method=$(postgres -C password_encryption -D "$PGDATA"); fi
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

  export PGHOST=$socket PGUSER=$user PGPASSWORD=$POSTGRES_PASSWORD
  pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -c unix_socket_directories=$socket" start
  if [[ $POSTGRES_DB != postgres ]]; then
    psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=db="$POSTGRES_DB" --dbname=postgres <<<'CREATE DATABASE :"db";'
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) echo "postgres image: running $file"; if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql) echo "postgres image: running $file"
        psql --no-psqlrc --set=ON_ERROR_STOP=1 --dbname="$POSTGRES_DB" --file="$file" ;;
    esac
  done
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
  unset PGHOST PGUSER PGPASSWORD
  echo "postgres image: the cluster is ready"
}

if [[ ${1:-} == -* ]]; then set -- postgres "$@"; fi
[[ ${1:-} == postgres ]] || exec "$@"
for argument in "$@"; do
  case $argument in -'?' | --help | --describe-config | -V | --version) exec "$@" ;; esac
done

if grep -q ' /var/lib/postgresql/data ' /proc/self/mounts && [[ $PGDATA != /var/lib/postgresql/data* ]]; then
  die "/var/lib/postgresql/data is a mount, but since 18 the data lives in $PGDATA; mount /var/lib/postgresql"
fi
mkdir -p "$PGDATA" || die "cannot make $PGDATA; its volume must belong to 999:999"
if [[ $(id -u) == 0 ]]; then
  find "$PGDATA" ! -user postgres -exec chown postgres {} +
  find /var/run/postgresql ! -user postgres -exec chown postgres {} +
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$BASH_SOURCE" "$@"
fi
chmod 0700 "$PGDATA" 2>/dev/null || true  # somebody else's directory: the server says so itself

if [[ ! -s $PGDATA/PG_VERSION ]]; then
  setting POSTGRES_PASSWORD
  setting POSTGRES_USER postgres
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS
  POSTGRES_HOST_AUTH_METHOD=${POSTGRES_HOST_AUTH_METHOD-}
  make_cluster
fi
exec "$@"

#!/bin/sh
# Stages, checks, activates and confirms one configuration revision; runs in the service's own image, as its user.
# BusyBox only. If anything ends it before the revision is loaded (a rejection, the time limit, a full disk), it rolls back.
#
#   SERVICE           prometheus or alertmanager
#   REVISION          hash of the configuration
#   LOADED_MARKER     what the service reports once it has loaded the revision
#   SERVICE_SPEC      changes if this same update replaces the service, which then reads the revision when it starts
#   SECRETS           names of the secrets that this update wants in /run/secrets, where older ones may lie as well
#   SECRETS_REVISION  changes if they were written again: whether they can be read must be checked again
#   IN                where the uploaded files lie
#   HOME_DIR          the configuration volume: releases/<hash>/, current -> releases/<hash>, spec
#   URL               the running service
set -eu

say() { echo "revision $REVISION: $*"; }
fail() { say "FAILED: $*"; exit 1; }

get() { wget -q -T 5 -O - "$URL$1"; }

check_files_exist() {  # neither checker looks whether a *_file can be read
    sed -n 's/^[ -]*[a-z_]*_file: *//p' "$1" | tr -d "\"'" | while read -r path; do
        [ -r "$path" ] || { echo "$path, named in ${1##*/}, does not exist or cannot be read"; exit 1; }
        secret=${path#/run/secrets/}
        case " $SECRETS " in *" $secret "*) continue ;; esac
        [ "$secret" = "$path" ] || { echo "$path, named in ${1##*/}, is left over from an earlier update: not staged any more"; exit 1; }
    done
}

# amtool reads the templates but does not execute them: a broken one would fail at the first alert.
check_messages() {
    words=$(grep -o '{{[^}]*}}' "$1/alertmanager.yml" | sort -u)
    [ -n "$words" ] || return 0
    labels='{"alertname": "A", "severity": "critical", "service": "s", "instance": "i", "environment": "e"}'
    texts='{"summary": "s", "description": "d", "runbook_url": "https://runbook", "dashboard_url": "https://page"}'
    for status in firing resolved; do
        cat > /tmp/message.json <<END
{"status": "$status", "groupLabels": $labels, "commonLabels": $labels, "commonAnnotations": $texts, "alerts": [
 {"status": "$status", "labels": $labels, "annotations": $texts,
  "startsAt": "2000-01-01T00:00:00Z", "endsAt": "2000-01-01T01:00:00Z"}]}
END
        amtool template render --template.glob="$1/templates/*.tmpl" --template.data=/tmp/message.json \
            --template.text="$words" 2>&1 > /dev/null || return 1
    done
}

check() {
    case $SERVICE in
    prometheus)
        # The configuration names the rules by the stable link; here they must be those of this revision.
        sed "s#$HOME_DIR/current/#$1/#" "$1/prometheus.yml" > /tmp/checked.yml
        promtool check config /tmp/checked.yml 2>&1 && check_files_exist "$1/prometheus.yml"
        ;;
    alertmanager)
        sed "s#$HOME_DIR/current/#$1/#" "$1/alertmanager.yml" > /tmp/checked.yml
        amtool check-config /tmp/checked.yml 2>&1 && check_messages "$1" && check_files_exist "$1/alertmanager.yml"
        ;;
    esac
}

confirmed() {
    case $SERVICE in
    prometheus) get "/api/v1/rules?type=record" 2>/dev/null | grep -q "\"revision\":\"$LOADED_MARKER\"" ;;
    alertmanager)
        get /metrics 2>/dev/null |
            awk -v want="$LOADED_MARKER" '$1 == "alertmanager_config_hash" { seen = ($2 + 0 == want + 0) } END { exit !seen }'
        ;;
    esac
}

activate() {  # rename is atomic: the service never sees a missing link
    ln -s "releases/$1" "$HOME_DIR/.next"
    mv -f -T "$HOME_DIR/.next" "$HOME_DIR/current"
}

reload() {
    if answer=$(wget -q -T 10 -O - --post-data='' "$URL/-/reload" 2>&1); then return 0; fi
    echo "$answer"
    return 1
}

not_running() {
    case $(wget -T 5 -O /dev/null "$URL/-/healthy" 2>&1) in
    *"bad address"* | *"Connection refused"* | *"No route to host"* | *"unreachable"*) return 0 ;;
    *) return 1 ;;
    esac
}

previous_revision=  # the one to roll back to; "none" if there was none
rollback() {
    [ -n "$previous_revision" ] || return 0
    previous=$previous_revision previous_revision=
    if [ "$previous" = none ]; then
        rm -f "$HOME_DIR/current"
    else
        rm -f "$HOME_DIR/.next"
        activate "$previous"
        reload > /dev/null || true  # the link is right again; a service that rejects the reload keeps what it has loaded
    fi
    say "rolled back to the previous revision"
}
trap rollback EXIT
trap 'say "FAILED: not done in time"; exit 143' TERM

prune() {
    # shellcheck disable=SC2012  # names are hashes
    ls -1t "$HOME_DIR/releases" | tail -n "+$(($1 + 1))" | while read -r old; do
        [ "$old" = "$REVISION" ] || rm -rf "$HOME_DIR/releases/${old:?}"
    done
}

staged=$HOME_DIR/releases/.staged
mkdir -p "$HOME_DIR/releases" && rm -rf "$HOME_DIR/.next" "$staged" && cp -R "$IN" "$staged" ||
    fail "the volume at $HOME_DIR cannot be written by user $(id -u)"
say "checking"
check "$staged" || fail "the checker rejected it; the previous revision stays active"
wanted=$HOME_DIR/releases/$REVISION
if diff -r -q "$staged" "$wanted" > /dev/null 2>&1; then
    # There already; taking the live one away for a moment could catch a restart.
    rm -rf "$staged"
    touch "$wanted"
else  # new, or no longer what its name says: somebody changed it in the volume
    rm -rf "$wanted"
    mv "$staged" "$wanted"
fi

before=$(readlink "$HOME_DIR/current" 2>/dev/null || true)  # neither exists before the first rollout
before=${before#releases/}
spec_before=$(cat "$HOME_DIR/spec" 2>/dev/null || true)
previous_revision=${before:-none}
activate "$REVISION"

if [ -z "$before" ] || [ "$spec_before" != "$SERVICE_SPEC" ] || not_running; then
    outcome="ready; the service reads it when it starts"
else
    reload || fail "the running service rejected the reload"
    tries=0
    until confirmed; do
        tries=$((tries + 1))
        [ $tries -lt 20 ] || fail "the service was reloaded, but does not confirm the revision"
        sleep 1
    done
    outcome=loaded
fi
printf '%s' "$SERVICE_SPEC" > "$HOME_DIR/spec"
previous_revision=
say "$outcome"
prune 5

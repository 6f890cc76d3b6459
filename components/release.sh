#!/bin/sh
# Stages, checks, switches to, and confirms one configuration release; runs in the service's own image, as its user.
# BusyBox only. The last line of a failure says what to do.
#
#   KIND          prometheus or alertmanager
#   RELEASE       hash of the release
#   CONFIRMATION  what the service says when it has loaded the release
#   SERVICE_SPEC  changes when this same update replaces the service, which then reads the release as it starts
#   IN            where the uploaded files lie
#   HOME_DIR      the configuration volume: releases/<hash>/, current -> releases/<hash>, spec
#   URL           the running service
set -eu

say() { echo "release $RELEASE: $*"; }
fail() { say "FAILED: $*"; exit 1; }

get() { wget -q -T 5 -O - "$URL$1"; }

check_files_exist() {  # neither checker looks whether a *_file can be read
    sed -n 's/^[ -]*[a-z_]*_file: *//p' "$1" | tr -d "\"'" | while read -r path; do
        [ -r "$path" ] || { echo "$path, named in $(basename "$1"), does not exist or cannot be read"; exit 1; }
    done
}

check() {
    case $KIND in
    prometheus)
        # The configuration names the rules by the stable link; here they must be those of this release.
        sed "s#$HOME_DIR/current/#$1/#" "$1/prometheus.yml" > /tmp/checked.yml
        promtool check config /tmp/checked.yml 2>&1 && check_files_exist "$1/prometheus.yml"
        ;;
    alertmanager)
        sed "s#$HOME_DIR/current/#$1/#" "$1/alertmanager.yml" > /tmp/checked.yml
        amtool check-config /tmp/checked.yml 2>&1 && check_files_exist "$1/alertmanager.yml"
        ;;
    esac
}

confirmed() {
    case $KIND in
    prometheus) get "/api/v1/rules?type=record" 2>/dev/null | grep -q "\"release\":\"$CONFIRMATION\"" ;;
    alertmanager)
        get /metrics 2>/dev/null |
            awk -v want="$CONFIRMATION" '$1 == "alertmanager_config_hash" { seen = ($2 + 0 == want + 0) } END { exit !seen }'
        ;;
    esac
}

switch_to() {  # rename is atomic: the service never sees a missing link
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

keep_last() {
    # shellcheck disable=SC2012  # names are hashes
    ls -1t "$HOME_DIR/releases" | tail -n "+$(($1 + 1))" | while read -r old; do
        [ "$old" = "$RELEASE" ] || [ "releases/$old" = "$(readlink "$HOME_DIR/current")" ] || rm -rf "$HOME_DIR/releases/${old:?}"
    done
}

mkdir -p "$HOME_DIR/releases"
rm -rf "$HOME_DIR/.next" "$HOME_DIR/releases/.staged"
cp -R "$IN" "$HOME_DIR/releases/.staged" || fail "the volume at $HOME_DIR cannot be written by user $(id -u)"
say "checking"
check "$HOME_DIR/releases/.staged" || fail "the checker refused it; what was live before is still live"
rm -rf "$HOME_DIR/releases/${RELEASE:?}"
mv "$HOME_DIR/releases/.staged" "$HOME_DIR/releases/$RELEASE"

before=$(readlink "$HOME_DIR/current" 2>/dev/null || true)
spec_before=$(cat "$HOME_DIR/spec" 2>/dev/null || true)
switch_to "$RELEASE"
printf '%s' "$SERVICE_SPEC" > "$HOME_DIR/spec"

if [ -z "$before" ] || [ "$spec_before" != "$SERVICE_SPEC" ] || not_running; then
    say "ready; the service reads it when it starts"
else
    problem=
    if reload; then
        tries=0
        until confirmed; do
            tries=$((tries + 1))
            [ $tries -lt 20 ] || { problem="it was reloaded, but does not confirm the release"; break; }
            sleep 1
        done
    else
        problem="the running service refused to reload"
    fi
    if [ -n "$problem" ]; then
        switch_to "${before#releases/}"
        reload || true
        fail "$problem; what was live before was put back"
    fi
    say "live"
fi
keep_last 5

# What every build script here shares: progress lines with elapsed times, the
# cache, and package sources derived from this machine's own apt settings.
#
# Sourced by appliance/blanket/build, images/build and images/guest/build.
# Cache: $SC_CACHE (default ~/.cache/supercloud).  An entry is a folder named by
# the hash of its inputs; it is made under a temporary name and renamed when it
# is complete, so an interrupted build leaves no half entry to be believed.

set -euo pipefail
export LC_ALL=C

SC_CACHE=${SC_CACHE:-$HOME/.cache/supercloud}
sc_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
sc_t0=$SECONDS
sc_tmp=

# say TEXT...: one progress line, with the seconds since the script began.
say() { printf '[%4ds] %s\n' $((SECONDS - sc_t0)) "$*" >&2; }

# die TEXT...: the reason, on stderr, and exit 1.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# sc_mktemp: makes $sc_tmp, removed when the script ends however it ends.  It
# lies in the cache, so that finished parts are renamed within a file system.
sc_mktemp() {
    mkdir -p "$SC_CACHE/tmp"
    sc_tmp=$(mktemp -d "$SC_CACHE/tmp/${1:-build}.XXXXXX")
    chmod 755 "$sc_tmp"
    trap 'rm -rf --one-file-system "$sc_tmp"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# sc_hash FILE...: the key of some inputs: names and contents, 16 hex digits.
# Folders are walked; a missing input is an error.  Standard input is added when
# the first argument is '-'.
sc_hash() {
    {
        if [ "${1:-}" = - ]; then
            cat
            shift
        fi
        local f
        for f in "$@"; do
            [ -e "$f" ] || die "input '$f' does not exist"
            (cd "$(dirname "$f")" && find "$(basename "$f")" \( -type f -o -type l \) \
                -not -name '*.pyc' -print0 | sort -z | while IFS= read -r -d '' p; do
                printf '%s %s\n' "$p" "$(stat -c %a "$p")"
                if [ -L "$p" ]; then readlink "$p"; else sha256sum <"$p"; fi
            done)
        done
    } | sha256sum | cut -c1-16
}

# sc_uuid TEXT: a UUID that follows from TEXT (version 4's form).
sc_uuid() {
    local h
    h=$(printf %s "$1" | sha256sum)
    printf '%s-%s-4%s-8%s-%s\n' "${h:0:8}" "${h:8:4}" "${h:13:3}" "${h:17:3}" "${h:20:12}"
}

# sc_lock NAME: one builder of NAME at a time; the second waits and then finds
# the first one's result in the cache.  Held until the script ends.
sc_lock() {
    mkdir -p "$SC_CACHE/tmp"
    exec 9>"$SC_CACHE/tmp/$1.lock"
    if ! flock -n 9; then
        say "$1: another build of it is running, waiting"
        flock 9
    fi
}

# need PROGRAM=PACKAGE...: names every package that is missing, at once.
need() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        die "missing programs; install: $(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')"
    fi
}

# sc_debian_suites: 'URI SUITE COMPONENT...' lines of the Debian archives that
# this machine's apt uses, whatever form its settings have.  Other vendors'
# archives are left out: an appliance is made from the distribution alone.
sc_debian_suites() {
    local lines
    lines=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        sort -u | awk '{ k = $1 " " $2; c[k] = c[k] " " $3 } END { for (k in c) print k c[k] }' | sort)
    [ -n "$lines" ] || die "apt knows no Debian archive here; run 'apt-get update' first"
    printf '%s\n' "$lines"
}

# sc_archive_epoch: the date of the newest index of those archives, in seconds:
# the "now" of what is made from them, the same whenever it is made.
sc_archive_epoch() {
    local lists date newest=0
    lists=$(apt-config shell d Dir::State::lists/d | sed "s/^d='//; s/'$//")
    while IFS= read -r date; do
        date=$(date -u -d "$date" +%s)
        if [ "$date" -gt $newest ]; then newest=$date; fi
    done < <(grep -lsx 'Origin: Debian' "$lists"/*Release | xargs -r sed -ns '/^Date: /{s///p;q}')
    [ $newest -gt 0 ] || die "apt has no index of a Debian archive here; run 'apt-get update' first"
    echo $newest
}

sc_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# sc_apt_sources TYPE: the same as one-line apt sources of TYPE deb or deb-src.
sc_apt_sources() {
    sc_debian_suites | sed "s|^|$1 [signed-by=$sc_keyring] |"
}

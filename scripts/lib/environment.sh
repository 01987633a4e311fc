# The virtual environment of this checkout, shared by the scripts beside this folder.
#
# To be sourced by bash with `set -euo pipefail`. Sets ROOT (the checkout) and VENV, and defines
#   environment EXTRAS    makes .venv with these extras installed, if it is not already so
#   say TEXT…             prints a step, on standard error
#   fail TEXT…            prints what is wrong, and ends the script

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
VENV="$ROOT/.venv"

say() { printf '%s\n' "$*" >&2; }

fail() {
    printf 'Error: %s\n' "$*" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && is_new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    fail "WoTKit needs Python 3.11 or later, and there is none. On Debian: apt-get install python3 python3-venv"
}

as_root_from_debian() { # PACKAGE…
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "Installing ${*} with apt-get"
    # installing runs programs that a minimal PATH leaves out
    local -x DEBIAN_FRONTEND=noninteractive PATH="${PATH}:/usr/local/sbin:/usr/sbin:/sbin"
    apt-get install --yes --no-install-recommends "$@" >/dev/null 2>&1 && return
    apt-get update >/dev/null && apt-get install --yes --no-install-recommends "$@" >/dev/null
}

require_venv_module() { # PYTHON
    local package
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    as_root_from_debian "$package" || as_root_from_debian python3-venv || true
    "$1" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$1 cannot make virtual environments. On Debian, as root: apt-get install $package"
}

is_sound() { # the environment runs, and was made for this place: its scripts hold its path
    [ -x "$VENV/bin/python" ] && is_new_enough "$VENV/bin/python" &&
        "$VENV/bin/python" -c 'import pip' 2>/dev/null &&
        grep -qsF "$VENV" "$VENV/bin/activate"
}

make_venv() {
    local python
    is_sound && return
    python=$(find_python)
    require_venv_module "$python"
    say "Making the environment .venv with $("$python" --version)"
    "$python" -m venv --clear "$VENV"
}

wanted() { # EXTRAS: what an environment that is in step was installed from
    printf '%s\n' "$1" "$ROOT"
    cat "$ROOT/pyproject.toml"
}

is_in_step() { # EXTRAS
    [ -x "$VENV/bin/wotkit" ] && wanted "$1" | cmp -s - "$VENV/installed-$1"
}

environment() { # EXTRAS
    # two scripts that start at once: the second waits for what the first installs
    exec 9<"$ROOT"
    if command -v flock >/dev/null; then flock 9; fi
    if is_sound && { is_in_step "$1" || is_in_step dev; }; then
        exec 9<&-
        return
    fi
    make_venv
    say "Installing WoTKit and what it needs ($1); this takes a minute the first time"
    rm -f "$VENV/installed-$1"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        --editable "$ROOT[$1]" 9<&- ||
        fail "the installation failed; the lines above say why. Run the script again to try again."
    wanted "$1" >"$VENV/installed-$1"
    exec 9<&-
}

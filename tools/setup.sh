#!/usr/bin/env bash
# Makes .venv ready for everything in this repository; the second run does nothing.
#
# It looks for a Python of 3.11 or newer, installs the Debian packages that are lacking (as root or with passwordless sudo;
# else it prints the apt command and goes on if it can), creates .venv and installs this project with all extras.
#
#   tools/setup.sh boards   and what emulated boards are built with and run on: compiler, C library, QEMU
#
#   PYTHON=python3.12       use this interpreter
#   EVERPIN_NO_APT=1        never install Debian packages, only say which are lacking
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

with=${1:-}
venv=.venv
stamp=$venv/.stamp
log=$venv/setup.log

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# Two `make` at a time would build one .venv twice over: the second waits here.
exec 9<pyproject.toml
if command -v flock >/dev/null; then flock 9; fi

# ---- which Python ----------------------------------------------------------------------------------------------------

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local name
    # The distribution's own python3 first: its venv package is the one that apt has.
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if new_enough "$name"; then
            echo "$name"
            return
        fi
    done
}

# ---- what this machine lacks -----------------------------------------------------------------------------------------

# Each line: the Debian package, what it is for. Nothing but python3-venv is needed to go on.
lacking() {
    if [ ! -x $venv/bin/python ] && ! "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        case $1 in
        python3) echo python3-venv ;;
        *) echo "python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" ;;
        esac
    fi
    command -v openssl >/dev/null || echo openssl
    # Debian keeps it in /usr/sbin, which is not on everybody's PATH.
    command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || echo mosquitto
    if [ "$with" = boards ]; then
        # As NEEDED in firmware_sim/everpin_sim/build_mcu.py and build_pi.py.
        command -v arm-none-eabi-gcc >/dev/null || echo gcc-arm-none-eabi
        [ -e /usr/lib/arm-none-eabi/newlib/libc.a ] || echo libnewlib-arm-none-eabi
        # One package has both emulators.
        { command -v qemu-system-arm && command -v qemu-system-aarch64; } >/dev/null || echo qemu-system-arm
        [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
        command -v gcc >/dev/null || echo gcc
        [ -e /usr/include/stdlib.h ] || echo libc6-dev
        command -v dpkg-source >/dev/null || echo dpkg-dev
        command -v patch >/dev/null || echo patch
        command -v xz >/dev/null || echo xz-utils
        command -v bzip2 >/dev/null || echo bzip2
    fi
}

install_debian() {
    local packages="$*" as_root=
    if ! command -v apt-get >/dev/null || [ -n "${EVERPIN_NO_APT:-}" ]; then
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true >/dev/null 2>&1 || return 1
        as_root="sudo -n"
    fi
    say "installing Debian packages: $packages"
    # shellcheck disable=SC2086  # both are lists of words
    {
        $as_root apt-get -qq update || say "apt-get update failed; trying with the lists at hand"
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $packages >/dev/null </dev/null
    } || return 1
}

python=$(find_python)
if [ -z "$python" ] && [ -n "${PYTHON:-}" ]; then
    die "PYTHON=$PYTHON is not a Python of 3.11 or newer"
elif [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo "no python3")
    die "everpin needs Python 3.11 or newer, here is $found; on Debian 12, Ubuntu 24.04 or newer: sudo apt-get install python3 python3-venv"
fi

missing=$(lacking "$python" | xargs)
# An attempt that failed is not repeated at each `make`; the line below still says what is lacking.
if [ -n "$missing" ] && [ "$missing" != "$(cat $venv/.apt-tried$with 2>/dev/null)" ]; then
    if ! install_debian $missing; then
        tried=$missing
        if [ -d $venv ]; then echo "$tried" >$venv/.apt-tried$with; fi
    fi
    missing=$(lacking "$python" | xargs)
fi
if [ -n "$missing" ]; then
    say "lacking here: $missing; to install: sudo apt-get install $missing (tests that need it are skipped by name)"
fi

# ---- .venv -----------------------------------------------------------------------------------------------------------

# The folder belongs to the sum: an editable install points to where it was made.
sum=$(cat pyproject.toml tools/setup.sh <(pwd) | sha256sum | cut -d' ' -f1)
if [ "$(cat $stamp 2>/dev/null)" = "$sum" ] && $venv/bin/python -c '' 2>/dev/null; then
    exit 0
fi

if ! $venv/bin/python -m pip --version >/dev/null 2>&1 || ! new_enough $venv/bin/python; then
    case $missing in
    *venv*) die "no virtual environment can be made without it: sudo apt-get install $missing" ;;
    esac
    say "creating $venv with $("$python" --version)"
    "$python" -m venv --clear $venv
fi
if [ -n "${tried:-}" ]; then echo "$tried" >$venv/.apt-tried$with; fi

say "installing everpin and the Python packages it needs into $venv (a minute or two)"
if ! $venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check -e '.[all]' >$log 2>&1 </dev/null; then
    tail -n 15 $log >&2
    die "pip failed; the lines above are the end of $log"
fi
echo "$sum" >$stamp
say "ready"

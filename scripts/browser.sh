#!/bin/sh
# Makes sure there is a Chromium or Chrome for the browser tests: finds one, installs Debian's
# package when run as root on Debian, else says how to get one. Prints the path, nothing else;
# the Makefile hands it to the tests as PIPULATE_BROWSER. Beside Debian's chromium its headless
# shell, where it can be had in the same version, draws the same for two thirds of the time.
set -eu

find_browser() {
    for name in "${PIPULATE_BROWSER:-}" chromium chromium-browser google-chrome \
        google-chrome-stable chrome microsoft-edge \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
        "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
        [ -n "$name" ] && command -v "$name" && return 0
    done
    return 1
}

debian_root() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && grep -qs '^ID=debian' /etc/os-release
}

apt="apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3"
export DEBIAN_FRONTEND=noninteractive

install() {
    $apt install -y --no-install-recommends "$@" </dev/null >/dev/null
}

install_browser() {
    echo "Installing Debian's chromium for the browser tests (once; about a minute) ..." >&2
    $apt update </dev/null >/dev/null && install chromium
}

# A wish only: the tests do without it.
install_shell() {
    command -v chromium-headless-shell >/dev/null && return 0
    version=$(dpkg-query -W -f '${Version}' chromium 2>/dev/null) || return 0
    set -- "chromium-headless-shell=$version"
    echo "Installing $1, which makes the browser tests faster (once) ..." >&2
    install "$@" 2>/dev/null || { $apt update </dev/null >/dev/null && install "$@"; } 2>/dev/null
}

if debian_root; then
    find_browser >/dev/null || install_browser || true
    case $(find_browser) in */chromium) install_shell || true ;; esac
fi
find_browser && exit 0
cat >&2 <<'TEXT'
The browser tests need Chromium or Chrome, and none was found.
  Debian: apt-get install chromium      Fedora: dnf install chromium
  macOS:  brew install --cask chromium  Ubuntu: snap install chromium
One that lives elsewhere: make test PIPULATE_BROWSER=/path/to/chrome
Without a browser: .venv/bin/python -m pytest -m "not browser and not long"
TEXT
exit 1

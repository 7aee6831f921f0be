#!/bin/sh
# Makes sure there is a Chromium or Chrome for the browser tests: finds one, installs Debian's
# package when run as root on Debian, else says how to get one. Prints the path, nothing else;
# the Makefile hands it to the tests as PIPULATE_BROWSER.
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

install_browser() {
    echo "Installing Debian's chromium for the browser tests (once; about a minute) ..." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt="apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3"
    $apt update >/dev/null && $apt install -y --no-install-recommends chromium >/dev/null
}

find_browser && exit 0
if debian_root; then
    install_browser </dev/null && find_browser && exit 0
fi
cat >&2 <<'TEXT'
The browser tests need Chromium or Chrome, and none was found.
  Debian: apt-get install chromium      Fedora: dnf install chromium
  macOS:  brew install --cask chromium  Ubuntu: snap install chromium
One that lives elsewhere: make test PIPULATE_BROWSER=/path/to/chrome
Without a browser: .venv/bin/python -m pytest -m "not browser and not long"
TEXT
exit 1

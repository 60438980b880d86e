#!/usr/bin/env bash
# Everything `make setup` does, all of it inside this folder: .venv (Python packages, from uv.lock),
# node_modules (npm packages, from package-lock.json), .cache/solc (the Solidity compiler). Each step is
# skipped when it was done for the same lock file.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_MINIMUM=0.8.0
UV_PINNED=0.13.9

say() { printf '[setup] %s\n' "$*"; }
die() {
  printf '[setup] error: %s\n' "$*" >&2
  exit 1
}

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# A content hash of the given files; cksum is POSIX, so it is on every machine.
fingerprint() { cat "$@" | cksum | tr ' ' '-'; }

# python_is PYTHON MINIMUM BELOW, versions as in 3,11
python_is() { "$1" -c "import sys; sys.exit(not ($2) <= sys.version_info[:2] < ($3))" 2>/dev/null; }

# The Python for .venv: 3.11 first, which CI has; where the machine has neither 3.11 nor 3.12, uv fetches 3.11.
choose_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.12; do
    if python_is "$candidate" 3,11 3,13; then
      VENV_PYTHON=$("$candidate" -c 'import sys; print(sys.executable)')
      return
    fi
    [ "$candidate" != "${PYTHON:-}" ] || die "PYTHON=$PYTHON is $("$PYTHON" --version 2>&1); 3.11 or 3.12 is needed."
  done
  VENV_PYTHON=3.11
}

check_requirements() {
  command -v git >/dev/null || die "git is needed. Install it (Debian, Ubuntu: sudo apt-get install git)."
  local node_version
  node_version=$(node --version 2>/dev/null) ||
    die "Node.js 20 or newer is needed, found none. Install the current LTS release of Node.js."
  version_at_least "${node_version#v}" 20.0.0 ||
    die "Node.js 20 or newer is needed, found ${node_version}. Install the current LTS release of Node.js."
  python_is "${PYTHON:-python3}" 3,9 4,0 ||
    die "Python 3.11 or 3.12 is needed, found $("${PYTHON:-python3}" --version 2>/dev/null || echo none).
  Install it (Debian, Ubuntu: sudo apt-get install python3 python3-venv; macOS: brew install python@3.11)."
  command -v npm >/dev/null || die "npm is needed; it comes with Node.js (Debian, Ubuntu: sudo apt-get install npm)."
}

# make_venv PYTHON FOLDER
make_venv() {
  local log
  log=$("$1" -m venv --clear "$2" 2>&1) || die "cannot make a virtual environment with $1:
$log
  On Debian and Ubuntu the module is a package of its own: sudo apt-get install python3-venv"
}

# uv makes the environment exactly what uv.lock says. One on the PATH is used if it is new enough;
# otherwise it comes from PyPI into a virtual environment of its own.
find_uv() {
  local have
  if have=$(uv --version 2>/dev/null) && version_at_least "$(cut -d ' ' -f 2 <<<"$have")" "$UV_MINIMUM"; then
    UV=uv
    return
  fi
  UV=.cache/uv/bin/uv
  if [ "$("$UV" --version 2>/dev/null | cut -d ' ' -f 2)" != "$UV_PINNED" ]; then
    say "installing uv $UV_PINNED into .cache/uv"
    mkdir -p .cache
    make_venv "${PYTHON:-python3}" .cache/uv
    .cache/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_PINNED" ||
      die "pip could not install uv; see its message above (is the network reachable?)."
  fi
}

setup_python() {
  local stamp site
  stamp=$(fingerprint uv.lock pyproject.toml tools/setup.sh)
  # A virtual environment that was moved with its folder still has the old path in its programs.
  if [ "$(cat .venv/.setup-folder 2>/dev/null)" = "$PWD" ] &&
    [ "$(cat .venv/.setup-stamp 2>/dev/null)" = "$stamp" ] && .venv/bin/python -c 'import ape' 2>/dev/null; then
    say "Python packages: up to date"
    return
  fi
  choose_python
  find_uv
  if [ -n "${PYTHON:-}" ] || [ "$(cat .venv/.setup-folder 2>/dev/null)" != "$PWD" ] ||
    ! python_is .venv/bin/python 3,11 3,13; then
    "$UV" venv --quiet --clear --python "$VENV_PYTHON" .venv ||
      die "no Python 3.11 or 3.12 here, and uv could not fetch one.
  Install one of them, or say where it is: make setup PYTHON=/path/to/python3.12"
  fi
  say "Python packages: installing what uv.lock says into .venv ($(.venv/bin/python --version))"
  UV_PROJECT_ENVIRONMENT=.venv "$UV" sync --locked --python .venv/bin/python ||
    die "uv could not install the Python packages; see its message above."
  # Read by every Python of .venv at its start: see layer2/toolchain.py.
  site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo 'import layer2.toolchain; layer2.toolchain.activate()' >"$site/layer2_toolchain.pth"
  echo "$PWD" >.venv/.setup-folder
  echo "$stamp" >.venv/.setup-stamp
}

setup_npm() {
  local stamp
  stamp=$(fingerprint package.json package-lock.json .npmrc)
  if [ "$(cat node_modules/.setup-stamp 2>/dev/null)" = "$stamp" ]; then
    say "npm packages: up to date"
    return
  fi
  say "npm packages: installing what package-lock.json says into node_modules"
  npm ci --no-audit --no-fund --loglevel=error || die "npm ci failed; see its message above."
  echo "$stamp" >node_modules/.setup-stamp
}

# The compiler finds the libraries below contracts/lib. Made here and not committed: not every way to copy a
# checkout (a ZIP file, Windows) keeps symbolic links.
link_libraries() {
  mkdir -p contracts/lib
  ln -sfn ../../node_modules/@openzeppelin/contracts contracts/lib/openzeppelin
  ln -sfn ../../node_modules/solady contracts/lib/solady
}

check_requirements
setup_python
setup_npm
link_libraries
.venv/bin/python tools/install_solc.py
anvil=$(command -v anvil || command -v node_modules/.bin/anvil) ||
  die "Anvil, the development chain, has no npm package for this platform: install Foundry, so that 'anvil' is on the PATH."
say "anvil: $anvil"
say "done: .venv/bin/ape is ready"

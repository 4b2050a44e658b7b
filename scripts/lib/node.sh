# shellcheck shell=bash
# Node and the npm packages for the scripts of this checkout. To be sourced, with `root` set to the checkout:
#   use_node                 puts Node 24 first on PATH; fetches it once, from npm
#   use_packages runtime     node_modules for running the program
#   use_packages all         ... and for developing it
# Everything it says goes to stderr. Two scripts that start at once do not disturb each other.

readonly PORTOLAN_NODE_VERSION=24.21.0
readonly PORTOLAN_NODE_MINIMUM=24.15
portolan_cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/portolan

use_node() {
  local architecture bin
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) architecture=x64 ;;
    Linux-aarch64) architecture=arm64 ;;
    *) architecture= ;;
  esac
  bin=$portolan_cache/node/$PORTOLAN_NODE_VERSION/node_modules/node-linux-$architecture/bin
  if [[ -x $bin/node ]]; then
    PATH=$bin:$PATH
  elif ! node_is_new_enough; then
    [[ -n $architecture ]] || node_failed "Node $PORTOLAN_NODE_MINIMUM or later is needed; install it for this machine"
    with_install_lock fetch_node "$architecture"
    PATH=$bin:$PATH
  fi
  export PATH
  # Compiled sources are kept: the command line starts in half the time.
  export NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$portolan_cache/compile/$PORTOLAN_NODE_VERSION}
}

node_is_new_enough() {
  local found
  found=$(node --version 2>/dev/null) || return 1
  [[ $(printf '%s\n' "v$PORTOLAN_NODE_MINIMUM" "$found" | sort -V | head -n 1) == "v$PORTOLAN_NODE_MINIMUM" ]]
}

node_failed() {
  printf 'portolan: %s\n' "$1" >&2
  exit 1
}

# Runs a function while no other script installs anything. The lock goes with the process, however it ends.
with_install_lock() {
  mkdir -p "$portolan_cache" || node_failed "cannot write to $portolan_cache"
  (
    flock 9 || exit 1
    "$@"
  ) 9>"$portolan_cache/install.lock" || exit 1
}

# The lockfile written here holds the hashes of Node itself, so that npm takes nothing else.
fetch_node() {
  local architecture=$1 target=$portolan_cache/node/$PORTOLAN_NODE_VERSION work integrity
  [[ ! -x $target/node_modules/node-linux-$architecture/bin/node ]] || return 0
  command -v npm >/dev/null || node_failed 'npm is needed once, to fetch Node; install nodejs and npm of any version'
  case $architecture in
    x64) integrity=sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q== ;;
    arm64) integrity=sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g== ;;
  esac
  printf 'portolan: fetching Node %s (once)\n' "$PORTOLAN_NODE_VERSION" >&2
  mkdir -p "$portolan_cache/node"
  work=$(mktemp -d "$portolan_cache/node/.fetch.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  cat >"$work/package.json" <<JSON
{ "name": "portolan-node", "version": "1.0.0", "private": true,
  "dependencies": { "node-linux-$architecture": "$PORTOLAN_NODE_VERSION" } }
JSON
  cat >"$work/package-lock.json" <<JSON
{ "name": "portolan-node", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
  "": { "name": "portolan-node", "version": "1.0.0",
        "dependencies": { "node-linux-$architecture": "$PORTOLAN_NODE_VERSION" } },
  "node_modules/node-linux-$architecture": { "version": "$PORTOLAN_NODE_VERSION", "integrity": "$integrity" } } }
JSON
  (cd "$work" && npm ci --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error >&2) ||
    node_failed 'Node could not be fetched with npm; see the lines above'
  "$work/node_modules/node-linux-$architecture/bin/node" --version >/dev/null ||
    node_failed 'the Node that npm brought does not run on this machine'
  rm -rf "$target"
  mv -T "$work" "$target"
}

use_packages() {
  packages_are_ready "$1" || with_install_lock install_packages "$1"
}

# npm writes node_modules/.package-lock.json last; the lockfile of a newer checkout is newer than that.
packages_are_ready() {
  local installed=$root/node_modules/.package-lock.json
  [[ -f $installed && ! $root/package-lock.json -nt $installed ]] || return 1
  [[ $1 == runtime || -d $root/node_modules/vitest ]]
}

# Installs beside and then swaps, so that a run that is killed or fails leaves what was there.
install_packages() {
  local wanted=$1 work arguments=(--prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error)
  ! packages_are_ready "$wanted" || return 0
  command -v npm >/dev/null || node_failed 'npm is needed to install the packages of package-lock.json'
  # Whoever develops here keeps the tools for it.
  [[ $wanted == all || -d $root/node_modules/vitest ]] || arguments+=(--omit=dev)
  printf 'portolan: installing the packages of package-lock.json\n' >&2
  work=$(mktemp -d "$root/.install.XXXXXX") || node_failed "cannot write to $root"
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  cp "$root/package.json" "$root/package-lock.json" "$root/.npmrc" "$work/"
  (cd "$work" && npm ci "${arguments[@]}" >&2) || node_failed 'the packages could not be installed; see the lines above'
  [[ ! -d $root/node_modules ]] || mv -T "$root/node_modules" "$work/former"
  mv -T "$work/node_modules" "$root/node_modules"
  touch "$root/node_modules/.package-lock.json"
}

# shellcheck shell=bash
# The programs that the tests, the demo and the benchmark run Portolan against. To be sourced after node.sh:
#   peer_names               all of them
#   peer_problem NAME        prints what is wrong with a peer; nothing when it is there and runs
#   use_peers                puts them on PATH and sets PORTOLAN_AGE_VECTORS
# scripts/peers fetches them.

portolan_peers=${PORTOLAN_PEERS:-$portolan_cache/peers}

readonly AGE_VECTORS_VERSION=v0.0.0-20251208015420-e9274a7bdbfd

peer_names() {
  printf '%s\n' age cosign crane oras helm registry skopeo jq exfat age-vectors postgres
}

# The lowest version that does. What Debian's unstable distribution has now may be newer, of the same major version.
peer_minimum() {
  case $1 in
    age) echo 1.3.2 ;;
    cosign) echo 3.1.1 ;;
    crane) echo 0.20.7 ;;
    oras) echo 1.3.3 ;;
    helm) echo 4.3.1 ;;
    registry) echo 3.1.2 ;;
    *) echo 0 ;;
  esac
}

peer_problem() {
  local name=$1 minimum recorded
  case $name in
    age-vectors)
      [[ -f $portolan_peers/age-vectors/$AGE_VECTORS_VERSION/testdata/x25519 ]] || echo 'the age test vectors are missing'
      return
      ;;
    skopeo | jq)
      "$name" --version >/dev/null 2>&1 || echo 'not on PATH'
      return
      ;;
    exfat)
      { command -v mkfs.exfat && command -v mount.exfat-fuse; } >/dev/null || echo 'the programs that make and mount exFAT are missing'
      return
      ;;
    postgres)
      [[ -n $(postgres_folder) ]] || echo 'the server programs of PostgreSQL 14 or later are missing'
      return
      ;;
  esac
  [[ -x $portolan_peers/bin/$name ]] || {
    echo "missing from $portolan_peers/bin"
    return
  }
  # Not every build can tell its version: the one that was fetched is written down beside it.
  minimum=$(peer_minimum "$name")
  recorded=$(cat "$portolan_peers/versions/$name" 2>/dev/null || true)
  if [[ ${recorded%%.*} != "${minimum%%.*}" ]] || ! at_least "$recorded" "$minimum"; then
    echo "version ${recorded:-unknown}, and $minimum or a later one of the same major version is needed"
  elif ! "$portolan_peers/bin/$name" "$(version_word "$name")" >/dev/null 2>&1; then
    echo 'does not run on this machine'
  fi
}

version_word() {
  case $1 in
    age | registry) echo --version ;;
    *) echo version ;;
  esac
}

at_least() {
  [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

# The newest PostgreSQL server whose programs are installed, as Debian lays them out.
postgres_folder() {
  local folder newest=
  for folder in /usr/lib/postgresql/1[4-9]/bin; do
    if [[ -x $folder/postgres && -x $folder/initdb ]]; then newest=$folder; fi
  done
  printf '%s' "$newest"
}

use_peers() {
  PATH=$portolan_peers/bin:$PATH
  local folder
  folder=$(postgres_folder)
  [[ -z $folder ]] || PATH=$PATH:$folder
  export PATH
  export PORTOLAN_AGE_VECTORS=$portolan_peers/age-vectors/$AGE_VECTORS_VERSION/testdata
}

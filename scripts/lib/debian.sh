# shellcheck shell=bash
# Debian's packages without touching the machine's: lists, caches and sources of our own, from the machine's mirror. No root.
# To be sourced by scripts/peers, with `work` set to a folder for temporary files and `say` defined:
#   debian_sources RELEASE           reads the lists of a release; fails where the machine is no Debian
#   debian_apt RELEASE ARGUMENT...   apt-get upon them
#   fetch_postgres MAJOR RELEASE     PostgreSQL of a release with every library it needs, which runs beside any other C library

debian_sources() {
  # shellcheck disable=SC2154
  local release=$1 mirror folder=$work/apt/$1
  [[ ! -f $folder/read ]] || return 0
  # shellcheck disable=SC1091
  if [[ $(. /etc/os-release && echo "${ID:-}") != debian ]] || ! command -v apt-get >/dev/null; then
    say 'these packages are fetched on a Debian only'
    return 1
  fi
  # As the sources are written: a machine on which no list was ever read has no more.
  # shellcheck disable=SC1091,SC2016
  mirror=$(apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(SITE)' |
    awk -v release="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" '($1 == release || $1 ~ /^(old)?stable$/) && $2 == "main" { print $3; exit }')
  [[ -n $mirror ]] || {
    say "apt's sources name no mirror of Debian"
    return 1
  }
  mkdir -p "$folder/lists/partial" "$folder/archives/partial"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$release" >"$folder/sources.list"
  debian_apt "$release" update >&2 && touch "$folder/read"
}

# As if nothing were installed: what a package depends on does not hang on the machine.
debian_apt() {
  local folder=$work/apt/$1
  apt-get -qq -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Status=/dev/null \
    -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder" -o Acquire::Retries=3 "${@:2}"
}

# Also of a user who is root now and was not before, or of another folder of peers.
link_postgres_home() {
  mkdir -p "$1"
  # shellcheck disable=SC2154
  [[ $(readlink -f "$portolan_peers/postgres") == "$(readlink -f "$1")" ]] || {
    rm -rf "$portolan_peers/postgres"
    ln -s "$1" "$portolan_peers/postgres"
  }
}

# The programs start by the C library and find the libraries that they were built with, by names written into them; so they
# look like any others, to each other as well. The newer releases' C library is newer than many a machine's.
fetch_postgres() {
  local major=$1 release=$2 home tree packages=() package files=$work/postgres-$1 loader program patch
  home=$(postgres_home)
  link_postgres_home "$home"
  [[ -n $(postgres_problem "$major") ]] || return 0
  debian_sources "$release" || return 1
  say "fetching PostgreSQL $major (Debian packages)"
  # Without what compiles queries (LLVM) and what only scripts of the packages use.
  mapfile -t packages < <(debian_apt "$release" install --simulate --no-install-recommends "postgresql-$major" |
    awk '$1 == "Inst" { print $2 }' | grep -E "^(lib.*|postgresql-(client-)?$major)\$" |
    grep -Ev '^lib(llvm|z3-|perl|pam-modules|c-l10n|.*-perl$|systemd-shared|ncursesw|proc2)')
  ((${#packages[@]} > 2)) || return 1
  mkdir -p "$files/packages" "$files/root"
  (cd "$files/packages" && debian_apt "$release" download "${packages[@]}" patchelf >&2) || return 1
  for package in "$files/packages"/*.deb; do dpkg -x "$package" "$files/root" || return 1; done

  # The server finds its shared files by the path from its own folder: the last parts of both stay Debian's.
  tree=$home/.$major.new
  rm -rf "$tree"
  mkdir -p "$tree/libraries" "$tree/usr/lib/postgresql" "$tree/usr/share/postgresql"
  mv "$files/root/usr/lib/postgresql/$major" "$tree/usr/lib/postgresql/" || return 1
  mv "$files/root/usr/share/postgresql/$major" "$tree/usr/share/postgresql/" || return 1
  rm -rf "$tree/usr/lib/postgresql/$major/lib"/{bitcode,pgxs,llvmjit*} "$tree/usr/share/postgresql/$major/man"
  find "$files/root" -path '*/lib/*-linux-gnu/*.so*' -not -path '*-linux-gnu/*/*' -not -type d -exec cp -a -t "$tree/libraries" {} +
  ln -s "usr/lib/postgresql/$major/bin" "$tree/bin"
  loader=$(basename "$(find "$tree/libraries" -name 'ld-linux-*' | head -n 1)")
  [[ -n $loader ]] || return 1
  patch=("$tree/libraries/$loader" --library-path "$tree/libraries" "$files/root/usr/bin/patchelf")
  for program in "$tree/bin"/*; do
    [[ ! -L $program && $(head -c 4 "$program" | tr -d '\0') == $'\x7fELF' ]] || continue
    # The old tag is asked of the libraries' own libraries, and of extensions, too.
    "${patch[@]}" --set-interpreter "$home/$major/libraries/$loader" --force-rpath --set-rpath "$home/$major/libraries" "$program" || return 1
  done
  chmod -R a+rX,go-w "$tree"
  rm -rf "${home:?}/$major" "$files"
  mv -T "$tree" "$home/$major"
}

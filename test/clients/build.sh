#!/usr/bin/env bash
# Builds the client programs that are not written in TypeScript, into a folder of the user's cache.
#   build.sh [NAME...]     builds what is not built yet: go, java, python, or all of them
#   build.sh --folder NAME prints where NAME is built; fails if it is not, or not from the sources as they are
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C # one order of files everywhere
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restante-clients

folder_of() { # folder_of NAME: another one for other sources, so that nothing old is ever run
  local inputs sum
  case $1 in
    go) inputs=(go/*.go go/go.mod go/go.sum) ;;
    java) inputs=(java/pom.xml java/src/main/java/clients/*.java) ;;
    python) inputs=(python/requirements.txt) ;;
    *) echo "build.sh: no such program: $1 (go, java or python)" >&2; exit 2 ;;
  esac
  sum=$({ cat build.sh "${inputs[@]}"; version_of "$1"; } | cksum | tr ' ' '-')
  echo "$cache/$1-$sum"
}

version_of() { # what a virtual environment is bound to
  if [ "$1" = python ]; then python3 -c 'import sys; print(sys.prefix, sys.version)' 2>&1 || true; fi
}

build() { # build NAME FOLDER
  case $1 in
    go) go -C go build -buildvcs=false -o "$2/clients" . ;;
    java) mvn -q -B -f java/pom.xml "-Doutput=$2" package ;;
    python)
      python3 -m venv "$2/venv"
      "$2/venv/bin/pip" install -q --disable-pip-version-check -r python/requirements.txt
      ;;
  esac
}

if [ "${1:-}" = --folder ]; then
  folder=$(folder_of "$2")
  [ -e "$folder/done" ] || exit 1
  echo "$folder"
  exit
fi

[ $# -gt 0 ] || set -- go java python
for name; do
  folder=$(folder_of "$name")
  if [ -e "$folder/done" ]; then continue; fi
  echo "building the $name clients"
  rm -rf "$folder"
  mkdir -p "$folder"
  find "$cache" -mindepth 1 -maxdepth 1 -name "$name-*" -mtime +30 -exec rm -rf {} + # of sources of old
  build "$name" "$folder"
  touch "$folder/done"
done

#!/usr/bin/env bash
# Builds the MongoDB of the tests, for machines that have no mongod, into a folder of the user's cache.
#   build.sh           builds it unless it is built already
#   build.sh --binary  prints the path of the program; fails if it is not built, or not from the sources as they are
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restante-ferretdb

# another folder for other sources, so that nothing old is ever run
folder=$cache/$(cat build.sh main.go one_at_a_time.go go.mod go.sum | cksum | tr ' ' '-')

if [ "${1:-}" = --binary ]; then
  [ -e "$folder/done" ] || exit 1
  echo "$folder/ferretdb"
  exit
fi

if [ -e "$folder/done" ]; then exit; fi
echo 'building FerretDB (a minute or two)'
rm -rf "$folder"
mkdir -p "$folder"
find "$cache" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} + # of sources of old
go build -buildvcs=false -o "$folder/ferretdb" .
touch "$folder/done"

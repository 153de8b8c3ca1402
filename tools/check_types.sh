#!/usr/bin/env bash
# mypy sees the package as it is installed: trainers, planners and evaluation inside impulse_nnunet.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/impulse_nnunet"
for entry in "$root"/impulse_nnunet/*; do
    ln -s "$entry" "$tree/impulse_nnunet/"
done
for part in trainers planners evaluation; do
    ln -s "$root/$part" "$tree/impulse_nnunet/$part"
done
cd "$tree"
mypy --config-file "$root/pyproject.toml" --cache-dir "$root/.mypy_cache" -p impulse_nnunet

#!/usr/bin/env bash
# Ask for known vulnerabilities of what uv.lock pins for the images. Says so, and ends well, where nobody can be asked.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-uv}
mkdir -p build
"$uv" export --quiet --frozen --no-dev --all-extras --no-emit-project --format requirements.txt > build/requirements.txt
if "$uv" tool run --from "pip-audit==2.10.1" pip-audit --progress-spinner off --disable-pip --require-hashes \
  --requirement build/requirements.txt > build/audit.txt 2>&1; then
  # A package that nobody knows is no package without faults.
  if unknown=$(grep --count "could not be audited" build/audit.txt); then
    echo "not audited: nobody could be asked about $unknown packages"
  else
    cat build/audit.txt
  fi
elif grep --quiet --ignore-case "known vulnerabilit" build/audit.txt; then
  cat build/audit.txt
  exit 1
else
  tail -1 build/audit.txt
  echo "not audited: nobody could be asked"
fi

#!/bin/sh
# Prints where axe-core is, which looks for what people who do not see a page, or use no mouse, would miss. It is fetched
# from the npm registry once, and taken only if it is what it was when its checksum was written here.
#   scripts/get-axe.sh [FILE]         (default build/axe.min.js)
set -eu
version=4.10.3
sum=880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb
file=${1:-$(dirname "$0")/../build/axe.min.js}
right() { echo "$sum  $1" | sha256sum --check --status 2>/dev/null; }

if ! right "$file"; then
    registry=$(npm config get registry 2>/dev/null || echo https://registry.npmjs.org/)
    new=$file.$$
    trap 'rm -f "$new" "$new.tgz"' EXIT
    mkdir -p "$(dirname "$file")"
    curl --silent --show-error --fail --location --max-time 60 --retry 2 --output "$new.tgz" \
        "${registry%/}/axe-core/-/axe-core-$version.tgz" >&2
    tar -xzOf "$new.tgz" package/axe.min.js >"$new"
    right "$new" || { echo "axe-core $version from $registry is not what it was" >&2; exit 1; }
    mv "$new" "$file"
fi
realpath "$file"

#!/usr/bin/env bash
# Net revenue by month of a file of invoice lines, or another question after "--".
#
#   examples/online_retail/run.sh FILE.parquet
#   examples/online_retail/run.sh FILE.parquet -- active_customers --group-by customer__country
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

here="$root/examples/online_retail"
((${#files[@]} == 1)) || fail "one file is wanted: run.sh FILE.parquet [-- QUESTION]."
[[ -f "${files[0]}" ]] || fail "${files[0]} is no file."
file="$(cd "$(dirname "${files[0]}")" && pwd)/$(basename "${files[0]}")"

echo "online_retail: building the warehouse from ${files[0]} ..." >&2
build "$here" "$("$python" -c 'import json, sys
print(json.dumps({"invoice_file": sys.argv[1]}))' "$file")"
ask net_revenue --group-by metric_time__month

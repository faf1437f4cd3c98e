#!/usr/bin/env bash
# Requests and error rate by day of access logs, or another question after "--".
#
#   examples/access_log/run.sh access.log access.log.1.gz
#   examples/access_log/run.sh access.log -- request_count --group-by metric_time__hour
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

((${#files[@]})) || fail "no log was named: run.sh FILE... [-- QUESTION]."

cadran ingest access-log "${files[@]}" --service website \
    --out "$scratch/data" --project-dir "$root" >&2
echo "access_log: building the warehouse ..." >&2
build "$root" "$("$python" -c 'import json, sys
print(json.dumps({"cadran_domains": ["platform"], "cadran_sources": sys.argv[1]}))' "$scratch/data")"
ask request_count error_rate --group-by metric_time__day

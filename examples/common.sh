# What the examples share: where Python and dbt are, and a scratch folder for the warehouse.
# Sourced, not run.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fail() {
    echo "$(basename "$(dirname "$0")"): $1" >&2
    exit 2
}

# The environment that is active, else the project's own, else what is on PATH.
if [[ -n "${VIRTUAL_ENV:-}" && -x "$VIRTUAL_ENV/bin/dbt" ]]; then
    bin="$VIRTUAL_ENV/bin/"
elif [[ -x "$root/.venv/bin/dbt" ]]; then
    bin="$root/.venv/bin/"
else
    bin=""
fi
dbt="${bin}dbt"
python="${bin}python"
command -v "$python" > /dev/null || python="python3"
command -v "$dbt" > /dev/null ||
    fail "dbt was not found: run 'make demo' once, or activate an environment that has it."

cadran() {
    PYTHONPATH="$root/python${PYTHONPATH:+:$PYTHONPATH}" "$python" -m cadran "$@"
}

# Splits the arguments at "--": files before it, the question after it.
files=()
question=()
while (($#)); do
    if [[ "$1" == "--" ]]; then
        shift
        question=("$@")
        break
    fi
    files+=("$1")
    shift
done

# CADRAN_SCRATCH keeps the warehouse for a closer look; without it nothing is left behind.
if [[ -n "${CADRAN_SCRATCH:-}" ]]; then
    mkdir -p "$CADRAN_SCRATCH"
    scratch="$(cd "$CADRAN_SCRATCH" && pwd)"
else
    scratch="$(mktemp -d)"
    trap 'rm -rf "$scratch"' EXIT
fi
export CADRAN_DATABASE="$scratch/warehouse.duckdb"
export DO_NOT_TRACK=1

# build PROJECT VARIABLES: everything dbt says goes to stderr.
build() {
    "$dbt" --no-use-colors --quiet build \
        --project-dir "$1" --profiles-dir "$1" --vars "$2" \
        --target-path "$scratch/target" --log-path "$scratch/logs" >&2 ||
        fail "dbt could not build the warehouse; what it said stands above."
}

# ask DEFAULT QUESTION...: the question after "--", or else the default, as CSV on stdout.
ask() {
    if ((${#question[@]})); then
        set -- "${question[@]}"
    fi
    cadran query --manifest "$scratch/target/semantic_manifest.json" \
        --database "$CADRAN_DATABASE" --format csv "$@"
}

#!/usr/bin/env bash
# An Apache Spark to try the target `spark` and its tests on: a master, two workers of one core each
# and a Connect server, all on loopback, from the package index's pyspark. Programs are installed
# into target/spark/venv, beside .venv (0.6 GB), or are those of CADRAN_SPARK_ENV; Java is Debian's.
#   scripts/spark.sh setup                   installs what is missing and prints the environment
#   scripts/spark.sh start [FOLDER] [N]      N workers (2); prints NAME=value a line
#   scripts/spark.sh worker FOLDER NUMBER    starts one worker again
#   scripts/spark.sh connect FOLDER          starts the Connect server again
#   scripts/spark.sh stop FOLDER [PART]      stops all of it, or master, connect, worker-1, worker-2
# Tables stay in FOLDER/warehouse, and their names in FOLDER/metastore.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

setup() {
    environment=${CADRAN_SPARK_ENV:-$here/target/spark/venv}
    if ! command -v java > /dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless; } > /dev/null 2>&1 || true
        fi
        command -v java > /dev/null || { echo 'No Java: install openjdk-17-jre-headless.' >&2; exit 1; }
    fi
    if [ ! -e "$environment/.stamp" ] && [ -z "${CADRAN_SPARK_ENV:-}" ]; then
        "$here/.venv/bin/python" -m venv --clear "$environment"
        "$environment/bin/python" -m pip --disable-pip-version-check --no-input install --quiet \
            --no-deps -r "$here/scripts/spark.lock" >&2
        # All else is what .venv has.
        echo "import site; site.addsitedir('$("$here/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
            > "$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/of_cadran.pth"
        ln -s "$here/.venv/bin/dbt" "$environment/bin/dbt"
        touch "$environment/.stamp"
    fi
    SPARK_HOME=$(find "$environment"/lib/*/site-packages/pyspark -maxdepth 0 2> /dev/null) || {
        echo "No pyspark in CADRAN_SPARK_ENV=$environment: install scripts/spark.lock there, or unset it." >&2
        exit 1
    }
    export SPARK_HOME SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_HOSTNAME=localhost
    export PYSPARK_PYTHON=$environment/bin/python SPARK_CONNECT_MODE=0
}

free_port() {
    "$environment/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# launch NAME COMMAND...: in the background, its number in NAME.pid and what it says in NAME.log.
launch() {
    local name=$1
    shift
    nohup setsid "$@" > "$folder/$name.log" 2>&1 < /dev/null &
    echo $! > "$folder/$name.pid"
}

# wait_for NAME PATTERN: until its log says so.
wait_for() {
    local turn
    for turn in $(seq 1500); do
        if grep -qE "$2" "$folder/$1.log" 2> /dev/null; then return; fi
        if ! kill -0 "$(cat "$folder/$1.pid")" 2> /dev/null; then break; fi
        sleep 0.2
    done
    echo "Spark's $1 did not start: $(grep -E 'ERROR|Exception|Error' "$folder/$1.log" | head -n 1)" >&2
    exit 1
}

worker() {
    SPARK_WORKER_DIR=$folder/work launch "worker-$1" "$SPARK_HOME/bin/spark-class" -Xmx256m \
        org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --webui-port 0 --cores 1 \
        --memory "${CADRAN_SPARK_MEMORY:-2g}" --work-dir "$folder/work" "spark://127.0.0.1:$(cat "$folder/master.port")"
    wait_for "worker-$1" 'Successfully registered with master'
}

connect() {
    # The catalogue is a Derby of this folder, which one process has open at a time. A session
    # cannot lose these: time is UTC, and Parquet says so. Folders lie on this disk: the server lists
    # them itself, and sends no task for each.
    (cd "$folder" && launch connect "$SPARK_HOME/bin/spark-submit" \
        --class org.apache.spark.sql.connect.service.SparkConnectServer \
        --name cadran --master "spark://127.0.0.1:$(cat "$folder/master.port")" \
        --driver-memory "${CADRAN_SPARK_DRIVER_MEMORY:-2g}" \
        --driver-java-options "-Duser.timezone=UTC -Dderby.stream.error.file=$folder/derby.log" \
        --conf spark.executor.extraJavaOptions=-Duser.timezone=UTC \
        --conf spark.executor.cores=1 \
        --conf "spark.executor.memory=${CADRAN_SPARK_EXECUTOR_MEMORY:-1g}" \
        --conf spark.driver.host=127.0.0.1 \
        --conf spark.driver.bindAddress=127.0.0.1 \
        --conf spark.ui.enabled=false \
        --conf spark.scheduler.mode=FAIR \
        --conf "spark.local.dir=$folder/scratch" \
        --conf spark.connect.grpc.binding.address=127.0.0.1 \
        --conf "spark.connect.grpc.binding.port=$(cat "$folder/connect.port")" \
        --conf spark.sql.session.timeZone=UTC \
        --conf spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS \
        --conf spark.sql.sources.default=parquet \
        --conf spark.sql.filesourceTableRelationCacheSize=0 \
        --conf spark.sql.sources.parallelPartitionDiscovery.threshold=4000 \
        --conf spark.sql.catalogImplementation=hive \
        --conf "spark.sql.warehouse.dir=$folder/warehouse" \
        --conf "spark.hadoop.javax.jdo.option.ConnectionURL=jdbc:derby:;databaseName=$folder/metastore;create=true" \
        --conf "spark.sql.shuffle.partitions=${CADRAN_SPARK_PARTITIONS:-2}" \
        --conf spark.sql.adaptive.coalescePartitions.enabled=true)
    wait_for connect 'Spark Connect server started'
}

start() {
    folder=$(mkdir -p "${1:-$here/target/spark/cluster}" && cd "${1:-$here/target/spark/cluster}" && pwd)
    mkdir -p "$folder/warehouse" "$folder/scratch" "$folder/work"
    free_port > "$folder/master.port"
    free_port > "$folder/connect.port"
    launch master "$SPARK_HOME/bin/spark-class" -Xmx256m org.apache.spark.deploy.master.Master \
        --host 127.0.0.1 --port "$(cat "$folder/master.port")" --webui-port 0
    wait_for master 'I have been elected leader|New state: ALIVE'
    local number
    for number in $(seq "${2:-2}"); do worker "$number"; done
    connect
    printf '%s\n' "CADRAN_SPARK=sc://127.0.0.1:$(cat "$folder/connect.port")" \
        "CADRAN_SPARK_FOLDER=$folder" "CADRAN_SPARK_PYTHON=$environment/bin/python"
}

stop() {
    local file group turn
    for file in "$1"/${2:-*}.pid; do
        if [ -e "$file" ]; then
            group=$(cat "$file")
            kill -- "-$group" 2> /dev/null || true
            # The next server takes over port and catalogue only when this one is gone.
            for turn in $(seq 200); do
                pgrep --pgroup "$group" --runstates D,R,S,T > /dev/null || break
                sleep 0.1
            done
            kill -KILL -- "-$group" 2> /dev/null || true
            rm "$file"
        fi
    done
}

case ${1:-} in
    setup) setup; echo "$environment" ;;
    start) setup; start "${2:-}" "${3:-2}" ;;
    worker) setup; folder=${2:?the folder of the cluster}; worker "${3:?its number}" ;;
    connect) setup; folder=${2:?the folder of the cluster}; connect ;;
    stop) stop "${2:?the folder of the cluster}" "${3:-}" ;;
    *) sed -n '2,10p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

#!/bin/bash
# A Prefect worker on each of some nodes of a Slurm cluster: sbatch --array=0-9 deploy/slurm-worker.sh
# docs/clusters.md says what else there must be. Give sbatch your own partition, account, and time.
#SBATCH --job-name=metaclip
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
#SBATCH --output=metaclip-%A-%a.log
set -euo pipefail

: "${PREFECT_API_URL:?set PREFECT_API_URL to the address of the Prefect server, as nodes reach it}"
: "${METACLIP_STORAGE:?set METACLIP_STORAGE to the store: a folder that all nodes see, or s3://bucket/prefix}"
METACLIP_HOME=${METACLIP_HOME:-${SLURM_SUBMIT_DIR:-$PWD}}   # the folder with .venv and prefect.yaml
METACLIP_QUEUE=${METACLIP_QUEUE:-shards}
cd "$METACLIP_HOME"

# The disk of the node: file systems of clusters are slow with many small files, and homes are small.
export TMPDIR=${METACLIP_TMP:-${SLURM_TMPDIR:-/tmp}}/metaclip-${SLURM_JOB_ID:-$$}
mkdir -p "$TMPDIR/prefect" "$TMPDIR/numba"
trap 'rm -rf "$TMPDIR"' EXIT
export PREFECT_HOME=$TMPDIR/prefect
# Nodes of several processors share the home: what is compiled for one is no use on another.
export NUMBA_CACHE_DIR=${NUMBA_CACHE_DIR:-$TMPDIR/numba}
export PREFECT_CLIENT_MAX_RETRIES=8 PREFECT_CLIENT_RETRY_EXTRA_CODES=500 DO_NOT_TRACK=1

# One run at a time, on all cores of the job. Before the time is up Slurm sends TERM to this script: the worker takes
# no more runs, its run ends, and the run that supervises it starts the rest again elsewhere.
name=slurm-${SLURM_ARRAY_JOB_ID:-${SLURM_JOB_ID:-$$}}-${SLURM_ARRAY_TASK_ID:-0}
.venv/bin/prefect worker start --pool metaclip --work-queue "$METACLIP_QUEUE" --limit 1 --name "$name" &
worker=$!
ended=
trap 'ended=1; kill -TERM "$worker" 2>/dev/null || true' TERM INT
status=0
wait "$worker" || status=$?
while kill -0 "$worker" 2>/dev/null; do   # `wait` returns when a signal arrives, before the worker has ended
  kill -TERM "$worker" 2>/dev/null || true   # an idle one needs a second
  for _ in 1 2 3 4 5; do kill -0 "$worker" 2>/dev/null && sleep 1; done
done
[ -n "$ended" ] && exit 0
exit "$status"

#!/usr/bin/env bash
# A sweep as a Slurm job: a Ray of its own on the job's machines, closed to their other users.
#
#   bash cluster/slurm.sh --dry-run sweeps/noise_injection.py --storage-path SHARED --name noise
#   sbatch cluster/slurm.sh sweeps/noise_injection.py --storage-path SHARED --name noise
#
# From the project's folder, which all machines see, with its environment in .venv (`make check`
# makes it; RAYDISTILL_VENV names another). SHARED is a folder that all machines see, or a bucket.
# Options of sbatch before the script's name go before the lines below. Before the time limit and
# when it is preempted the job stops the sweep, which keeps everything, and comes back to go on:
# `--resume auto` starts a sweep or continues it. Step by step: docs/cluster_slurm.md.
#
#SBATCH --job-name=raydistill
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=raydistill-%j.log
#SBATCH --signal=B:USR1@300

set -euo pipefail
set -m  # else bash lets background processes ignore SIGINT, by which a sweep is stopped
umask 077

refuse() { echo "slurm.sh: $1" >&2; exit 2; }
directive() { sed -n "s/^#SBATCH --$1=\([^ ]*\).*/\1/p" "$0" | head -1; }
show() { printf '%q ' "$@"; echo; }

dry_run=no
if [ "${1:-}" = --dry-run ]; then dry_run=yes; shift; fi
[ $# -gt 0 ] || refuse "no sweep: give its script and options, such as sweeps/noise_injection.py"
sweep=("$@")
[ -f "${sweep[0]}" ] || refuse "${sweep[0]}: no such script here; start from the project's folder"
case " $* " in *" --name"[\ =]*) ;; *) refuse "--name: without it a requeued job starts anew" ;; esac
case " $* " in *" --storage-path"[\ =]*) ;; *)
  [ -n "${RAYDISTILL_STORAGE:-}" ] || refuse "--storage-path: give a folder that all machines see"
  sweep+=(--storage-path "$RAYDISTILL_STORAGE") ;;
esac

bin=${RAYDISTILL_VENV:-$PWD/.venv}/bin
[ -x "$bin/python" ] || refuse "$bin: no environment; make check makes one, RAYDISTILL_VENV names it"
wanted=$(sed -n 's/^ray==//p' constraints.txt)
found=$("$bin/python" -c 'from importlib.metadata import version; print(version("ray"))')
[ "$found" = "$wanted" ] || refuse "ray $found is in $bin, constraints.txt names $wanted: install it"

job=${SLURM_JOB_ID:-JOB}
nodes=${SLURM_JOB_NUM_NODES:-$(directive nodes)}
cpus=${SLURM_CPUS_PER_TASK:-$(directive cpus-per-task)}
run=${RAYDISTILL_RUN:-$HOME/.raydistill/slurm}/$job  # on a file system that all machines see
# Other jobs on the same machines have other numbers, and Ray's sockets want a short path.
case $job in JOB) port=PORT ;; *) port=$((20000 + job % 10000)) ;; esac
scratch=/tmp/raydistill-$job
names=(HEAD)
address=HEAD:$port
if [ "$dry_run" = no ]; then
  [ -n "${SLURM_JOB_ID:-}" ] || refuse "this is no Slurm job: sbatch $0 ..., or --dry-run"
  mapfile -t names < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
  # This script runs on the first machine of the job, which is the head.
  address=${RAYDISTILL_HEAD_ADDRESS:-$(hostname -I | cut -d ' ' -f 1)}:$port
fi

# One processor of the head's machine is left for the search. The machine's GPU is used: a job's
# machines come and go together, so that nothing is gained by a head without trials.
dashboard=$((8265 + ${SLURM_JOB_ID:-0} % 1000))
spare=$((cpus > 1 ? cpus - 1 : 1))
head=("$bin/ray" start --head --block --node-ip-address="${address%:*}" --port="$port"
  --num-cpus="$spare" --temp-dir="$scratch" --dashboard-host=127.0.0.1
  --dashboard-port="$dashboard"
  --ray-client-server-port="$((30000 + ${SLURM_JOB_ID:-0} % 10000))" --disable-usage-stats)
worker=("$bin/ray" start --block --address="$address" --num-cpus="$cpus" --temp-dir="$scratch")
driver=("$bin/python" "${sweep[@]}" --address "$address" --resume auto)

if [ "$dry_run" = yes ]; then
  gpus=$(directive gpus-per-node)
  echo "$nodes machines of $cpus CPUs and ${SLURM_GPUS_PER_NODE:-$gpus} GPUs each, for at most" \
    "$(directive time); options of sbatch change that"
  echo "token: $run/token, for you alone, removed when the job ends"
  printf 'first machine, %s CPUs for trials: ' "$spare"; show "${head[@]}"
  [ "$nodes" -lt 2 ] || { printf 'each of %s more: ' "$((nodes - 1))"; show "${worker[@]}"; }
  printf 'first machine, once all are there: '; show "${driver[@]}"
  echo "before the time limit ($(directive signal)) and when preempted: SIGINT to the sweep, requeue"
  exit
fi

mkdir -p "$run"
"$bin/python" -c 'import secrets; print(secrets.token_hex(32), end="")' > "$run/token"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$run/token
# Ray's exporters of metrics would answer other users of these machines, who have no token.
export RAY_enable_metrics_collection=0 AUTOSCALER_METRIC_PORT=-1 DASHBOARD_METRIC_PORT=-1
export SRUN_CPUS_PER_TASK=$cpus
unset RAY_AUTH_TOKEN RAY_ADDRESS OMP_NUM_THREADS
ulimit -n "$(ulimit -Hn)"

steps=()
sweep_process=
stopped=no
clean_up() {
  [ ${#steps[@]} -eq 0 ] || kill "${steps[@]}" 2> /dev/null || true
  rm -rf "$run"
}
trap clean_up EXIT
echo "Ray's dashboard, from your side: ssh -L 8265:127.0.0.1:$dashboard ${names[0]}; token: $run/token"
stop() {
  stopped=$1
  echo "slurm.sh: $2; the sweep is stopped"
  [ -z "$sweep_process" ] || kill -INT "$sweep_process" 2> /dev/null || true
}
trap 'stop limit "the time limit is near"' USR1
trap 'stop preempted "the machines are wanted"' TERM

srun --nodes=1 --ntasks=1 --overlap --nodelist="${names[0]}" "${head[@]}" &
steps+=($!)
for second in $(seq 180); do
  "$bin/ray" health-check --address "$address" > /dev/null 2>&1 && break
  kill -0 "${steps[0]}" 2> /dev/null || refuse "the head has ended, see above"
  [ "$second" -lt 180 ] || refuse "no head at $address after $second tries"
  sleep 1
done
if [ "$nodes" -gt 1 ]; then
  srun --nodes="$((nodes - 1))" --ntasks="$((nodes - 1))" --exclude="${names[0]}" "${worker[@]}" &
  steps+=($!)
fi
"$bin/python" -m raydistill.cluster.gathering --address "$address" --nodes "$nodes" --seconds 300

status=0
if [ "$stopped" = no ]; then
  "${driver[@]}" &
  sweep_process=$!
  while true; do  # a signal ends the wait, not the sweep
    wait "$sweep_process" && status=0 || status=$?
    kill -0 "$sweep_process" 2> /dev/null || break
  done
fi
# Where it is preempted, Slurm brings it back by itself.
[ "$stopped" != limit ] || { scontrol requeue "$job"; status=0; }
exit "$status"

# Start an experiment: its run.sh and test.sh source this with overrides KEY VALUE ... From the environment come
#   PARTITION                where to submit to SLURM; with TIMEOUT_MIN, and SUBMIT_ARGS for more options of submit.py
#   INIT_METHOD, SHARD_ID    tcp://HOST:PORT, where several nodes meet, and this one's number, to start each by hand
# and values of the keys below; of those that are empty or not set, config.yaml has the say. Relative paths start from
# the repository. torchrun and srun start it as any program: torchrun --no-python ... exp/NAME/run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[1]}")"
name=$(basename "$PWD")
cd ../..
OUTPUT_DIR=${OUTPUT_DIR:-runs/$name}
overrides=()
for pair in OUTPUT_DIR=OUTPUT_DIR NUM_GPUS=NUM_GPUS NUM_SHARDS=NUM_SHARDS BATCH_SIZE=TRAIN.BATCH_SIZE \
  BASE_LR=SOLVER.BASE_LR EPOCHS=SOLVER.MAX_EPOCH DATA_DIR=DATA.PATH_TO_DATA_DIR PATH_PREFIX=DATA.PATH_PREFIX \
  WEIGHTS_DIR=MODEL.WEIGHTS_DIR CHECKPOINT=TEST.CHECKPOINT_FILE_PATH; do
  variable=${pair%%=*}
  if [[ -n ${!variable:-} ]]; then overrides+=("${pair#*=}" "${!variable}"); fi
done
overrides+=("$@")
arguments=(--cfg "exp/$name/config.yaml")

# Resolving takes a fraction of a second, so a mistake shows before anything slow begins.
config=$(python tools/show_config.py "${arguments[@]}" "${overrides[@]}")
# value_of SECTION KEY; of a key outside the sections, SECTION is the key itself
value_of() {
  awk -v section="$1:" -v key="$2:" '/^[^ ]/ { inside = $1 == section } inside && $1 == key { print $2 }' <<<"$config"
}
nodes=$(value_of NUM_SHARDS NUM_SHARDS) gpus=$(value_of NUM_GPUS NUM_GPUS)

if [[ -n ${PARTITION:-} ]]; then
  read -ra more <<<"${SUBMIT_ARGS:-}"
  if [[ -n ${TIMEOUT_MIN:-} ]]; then more+=(--timeout_min "$TIMEOUT_MIN"); fi
  exec python tools/submit.py "${arguments[@]}" --partition "$PARTITION" --num_shards "$nodes" --num_gpus "$gpus" \
    "${more[@]}" "${overrides[@]}"
fi
if [[ -n ${INIT_METHOD:-} ]]; then
  arguments+=(--init_method "$INIT_METHOD" --shard_id "${SHARD_ID:-0}")
elif ((nodes > 1)) && [[ -z ${LOCAL_RANK:-} && ${SLURM_STEP_NUM_TASKS:-1} == 1 ]]; then
  accum=$(value_of SOLVER ACCUM_STEPS) batch=$(($(value_of TRAIN BATCH_SIZE) * accum)) lr=$(value_of SOLVER BASE_LR)
  scale=1
  if [[ $(value_of SOLVER BASE_LR_SCALE_NUM_SHARDS) == true ]]; then scale=$nodes; fi
  awk -v name="$name" -v nodes="$nodes" -v gpus="$gpus" -v batch="$batch" -v accum="$accum" -v lr="$lr" \
    -v scale="$scale" 'BEGIN {
    printf "error: %s takes %d nodes of %d GPUs and would start on this one alone; ", name, nodes, gpus
    printf "PARTITION=NAME submits it to SLURM, INIT_METHOD=tcp://HOST:PORT with SHARD_ID=0 to %d ", nodes - 1
    printf "starts each node by hand, and NUM_SHARDS=1 takes this node, with an effective batch of %d ", batch
    printf "instead of %d videos (SOLVER.ACCUM_STEPS %d keeps it) and %s\n", batch * nodes, accum * nodes, \
      scale == 1 ? "the same learning rate " (lr + 0) : "a learning rate of " (lr + 0) " instead of " (lr * scale)
  }' >&2
  exit 2
fi
exec python tools/run_net.py "${arguments[@]}" "${overrides[@]}"

# Start an experiment: its run.sh and test.sh source this with overrides KEY VALUE ... From the environment come
#   PARTITION                where to submit to SLURM; with TIMEOUT_MIN, and SUBMIT_ARGS for more options of submit.py
#   INIT_METHOD, SHARD_ID    tcp://HOST:PORT, the nodes' rendezvous, and this one's number, to start each by hand
# and values of the keys below; of those that are empty or not set, config.yaml has the say. The command that this comes
# to is printed; it runs in the repository, from which relative paths start. A function "prepare" of the script is called
# before it. torchrun and srun start a script as any program: torchrun --no-python ... exp/NAME/run.sh
set -euo pipefail
unset CDPATH # in which cd would look for the folder first
cd "$(dirname "${BASH_SOURCE[1]}")"; name=${PWD##*/}; cd ../..
OUTPUT_DIR=${OUTPUT_DIR:-runs/$name}
config=(--cfg "exp/$name/config.yaml")
for pair in OUTPUT_DIR=OUTPUT_DIR NUM_GPUS=NUM_GPUS NUM_SHARDS=NUM_SHARDS BATCH_SIZE=TRAIN.BATCH_SIZE \
  BASE_LR=SOLVER.BASE_LR EPOCHS=SOLVER.MAX_EPOCH DATA_DIR=DATA.PATH_TO_DATA_DIR PATH_PREFIX=DATA.PATH_PREFIX \
  WEIGHTS_DIR=MODEL.WEIGHTS_DIR CHECKPOINT=TEST.CHECKPOINT_FILE_PATH; do
  variable=${pair%%=*}
  if [[ -n ${!variable:-} ]]; then config+=("${pair#*=}" "${!variable}"); fi
done
config+=("$@")
python tools/show_config.py "${config[@]}" >/dev/null # a mistake shows in a moment, not after the import of PyTorch
if declare -F prepare >/dev/null; then prepare; fi

if [[ -n ${PARTITION:-} ]]; then
  read -ra more <<<"${SUBMIT_ARGS:-}"
  command=(python tools/submit.py --partition "$PARTITION" ${TIMEOUT_MIN:+--timeout_min "$TIMEOUT_MIN"} "${more[@]}")
else
  command=(python tools/run_net.py ${INIT_METHOD:+--init_method "$INIT_METHOD" --shard_id "${SHARD_ID:-0}"})
fi
command+=("${config[@]}")
words=$(printf '%q ' "${command[@]}")
if [[ ${RANK:-${SLURM_PROCID:-0}} == 0 ]]; then echo "${words% }" >&2; fi
exec "${command[@]}"

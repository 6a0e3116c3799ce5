#!/bin/sh
# Checks `cass` on the GPU of this machine: sh gpu/check.sh [smoke|parity|speed|all]. Made by `cargo xtask gpu pack`.
#
# Every check is run, also after one failed; a failing one prints what it said. Ends with 0 only if all passed. A command
# is stopped after LIMIT seconds. Needs a driver and, for what is compared with PyTorch, a Python with torch, timm and
# safetensors; no Rust, no network.
#
#   DEVICE=cuda     where to compute; cpu tests this script itself
#   PYTHON=python3  the Python
#   SCALE=paper     the networks and sizes: paper, or tiny for a try
#   OUT=gpu-out     what is written
#   LIMIT=540       seconds a command may take
part=${1:-all}
cd "$(dirname "$0")" || exit 2
here=$(pwd)
cass=${CASS:-$here/cass}
device=${DEVICE:-cuda}
python=${PYTHON:-python3}
scale=${SCALE:-paper}
out=${OUT:-$here/gpu-out}
limit=${LIMIT:-540}
mkdir -p "$out" || exit 2

case $part in smoke | parity | speed | all) ;; *)
    echo "check.sh $part: expected smoke, parity, speed or all" >&2
    exit 2
    ;;
esac
case $scale in
paper)
    cnn=resnet50 vit=vit_base_patch16_384 size=384 batch=16 steps=20
    nets="resnet50:224:f64 vit_base_patch16_384:384:f32"
    ;;
tiny)
    cnn=resnet18 vit=vit_tiny_patch16_224 size=32 batch=4 steps=2
    nets="resnet18:32:f64 vit_tiny_patch16_224:32:f32"
    ;;
*)
    echo "SCALE=$scale: expected paper or tiny" >&2
    exit 2
    ;;
esac

# The wheels of torch bring cuBLAS, cuRAND and NVRTC, which `cass` was linked with by name.
site=$($python -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))' 2>/dev/null)
if [ -n "$site" ]; then
    for lib in "$site"/nvidia/cu13/lib "$site"/nvidia/*/lib; do
        [ -d "$lib" ] && LD_LIBRARY_PATH=$lib:$LD_LIBRARY_PATH
    done
fi
LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/usr/local/cuda/lib64
CUDA_CACHE_PATH=$here/.cache
PYTHONPATH=$here
PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH CUDA_CACHE_PATH PYTHONPATH PYTHONDONTWRITEBYTECODE

# `timeout` starts programs, not functions of this script.
limited() {
    case $1 in
    pretrain | stopped | same) "$@" ;;
    *) timeout "$limit" "$@" ;;
    esac
}

passed=0 failed=0 last=
# check NAME COMMAND...: one line, and all of the output where it failed.
check() {
    name=$1
    shift
    started=$(date +%s)
    limited "$@" >"$out/last.txt" 2>&1
    code=$?
    if [ $code = 0 ]; then
        passed=$((passed + 1))
        last=$(tail -n 1 "$out/last.txt")
        printf '%-9s %-34s %4d s  pass    %.110s\n' "$section" "$name" $(($(date +%s) - started)) "$last"
        return 0
    fi
    failed=$((failed + 1)) last=
    printf '%-9s %-34s %4d s  FAILED  (code %d)\n' "$section" "$name" $(($(date +%s) - started)) $code
    sed 's/^/          | /' "$out/last.txt" | tail -n 60
    return 1
}
# A number of the JSON in the last line of a check's output.
number() {
    tail -n 1 "$out/last.txt" | tr ',{}' '\n\n\n' | sed -n "s/^ *\"$1\": *\\([-0-9.e]*\\).*/\\1/p" | head -n 1
}

smoke() {
    section=smoke
    [ "$device" = cpu ] || check "driver" nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv,noheader
    check "program" "$cass" --version
    check "kernels compile, load and run" "$cass" bench ops --batch 1 --op gelu --against-cpu "$device"
    check "PyTorch" "$python" -B "$here/torch_gpu.py" versions
}

# of_phantoms FOLDER WITH...: a short pretraining, started with those words.
of_phantoms() {
    run=$1
    shift
    "$@" "$cass" pretrain --method cass --data-root "$out/phantoms" --data brain-mri --out "$run" --weights random \
        --cnn resnet18 --vit vit_tiny_patch16_224 --size 64 --batch 8 --epochs 3 --device "$device"
}
pretrain() { of_phantoms "$1" timeout "$limit"; }
same() {
    for file in "$1"/checkpoint-*.safetensors; do
        cmp "$file" "$2/$(basename "$file")" || return 1
    done
    echo "$(ls "$1"/checkpoint-*.safetensors | wc -l) files of the same bytes"
}
# Stops a pretraining after its first steps, and lets the same command finish it.
stopped() {
    rm -rf "$1"
    of_phantoms "$1" exec & # the job is `cass` itself
    job=$!
    tries=0
    until [ -s "$1/log.jsonl" ] || [ $tries -gt 600 ] || ! kill -0 $job 2>/dev/null; do
        sleep 0.1
        tries=$((tries + 1))
    done
    sleep 1
    kill -TERM $job 2>/dev/null
    wait $job
    echo "stopped with code $?"
    pretrain "$1"
}

parity() {
    section=ops
    check "values and gradients, against f64" "$cass" bench ops --batch 2 --against-cpu "$device"
    section=nets
    # In f32 a ReLU whose input is about 0 passes a gradient in one program and not in the other.
    for net in $nets; do
        arch=${net%%:*} dtype=${net##*:} pixels=${net#*:} pixels=${pixels%:*} most=1e-3
        [ $dtype = f64 ] && most=1e-8
        check "$arch by PyTorch, $dtype" "$python" -B "$here/torch_gpu.py" reference --arch "$arch" --size "$pixels" \
            --dtype $dtype --device "$device" --out "$out/$arch" &&
            check "$arch against PyTorch" "$cass" verify --arch "$arch" --weights "$out/$arch/weights.safetensors" \
                --reference "$out/$arch/reference.safetensors" --rtol $most --device "$device"
    done
    section=steps
    check "CASS, Adam" "$cass" verify --trajectory "$here/golden/trajectory_cass" --method cass --device "$device"
    check "CASS, SGD" "$cass" verify --trajectory "$here/golden/trajectory_cass_sgd" --method cass \
        --cnn-optimizer sgd --device "$device"
    check "CASS, as the notebook" "$cass" verify --trajectory "$here/golden/trajectory_cass_notebook" --method cass \
        --protocol notebook --device "$device"
    check "DINO, CNN" "$cass" verify --trajectory "$here/golden/trajectory_dino_cnn" --method dino --device "$device"
    check "DINO, Transformer" "$cass" verify --trajectory "$here/golden/trajectory_dino_vit" --method dino --device "$device"
    check "CASS in f64" "$cass" verify --trajectory "$here/golden/trajectory_cass_double" --method cass --rtol 1e-9 \
        --device "$device"
    for method in vicreg simsiam byol; do
        check "$method in f64" "$cass" verify --trajectory "$here/golden/trajectory_$method" --method $method --rtol 1e-7 \
            --device "$device"
    done
    section=again
    rm -rf "$out/first" "$out/second" "$out/phantoms"
    check "images" "$cass" data phantom --out "$out/phantoms" --train-per-class 16 --test-per-class 4 --size 64
    check "a run" pretrain "$out/first" && check "the same run" pretrain "$out/second" &&
        check "the same bytes" same "$out/first" "$out/second"
    check "a run that is stopped" stopped "$out/stopped" &&
        check "the same bytes" same "$out/first" "$out/stopped"
}

speed() {
    section=speed
    table="$out/speed.txt"
    printf '%-28s %10s %10s %10s\n' "$cnn + $vit, $size px, batch $batch" "ms a step" "GPU MiB" "launches" >"$table"
    precisions="f32 tf32 bf16"
    [ "$device" = cpu ] && precisions=f32
    for precision in $precisions; do
        if check "ours, $precision" "$cass" bench step --json --cnn $cnn --vit $vit --size $size --batch $batch \
            --steps $steps --precision $precision --device "$device"; then
            printf '%-28s %10s %10s %10s\n' "cass $precision" "$(number median_ms)" "$(number peak_gpu_mib)" \
                "$(number launches)" >>"$table"
        fi
    done
    for precision in $precisions; do
        if check "PyTorch, $precision" "$python" -B "$here/torch_step.py" --threads 0 --cnn $cnn --vit $vit --size $size \
            --batch $batch --steps $steps --precision $precision --device "$device"; then
            printf '%-28s %10s %10s\n' "torch $precision" "$(number median_ms)" "$(number peak_gpu_mib)" >>"$table"
        fi
    done
    if [ "$device" != cpu ]; then
        if check "PyTorch, bf16, compiled" "$python" -B "$here/torch_step.py" --threads 0 --cnn $cnn --vit $vit \
            --size $size --batch $batch --steps $steps --precision bf16 --compile --device "$device"; then
            printf '%-28s %10s %10s\n' "torch bf16, compiled" "$(number median_ms)" "$(number peak_gpu_mib)" >>"$table"
        fi
    fi
    cat "$table"
    # Each launch waited for, so that the time of an operation is its own.
    export CUDA_LAUNCH_BLOCKING=1
    check "by operation" "$cass" bench step --profile --cnn $cnn --vit $vit --size $size --batch $batch --steps 2 \
        --device "$device" && sed -n '2,22p' "$out/last.txt"
    unset CUDA_LAUNCH_BLOCKING
}

[ $part = smoke ] || [ $part = all ] && smoke
[ $part = parity ] || [ $part = all ] && parity
[ $part = speed ] || [ $part = all ] && speed
rm -f "$out/last.txt"
echo "$passed passed, $failed failed"
[ $failed = 0 ]

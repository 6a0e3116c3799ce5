#!/bin/sh
# Stands in for `cass` in tests: leaves run folders of the right shape with numbers made up from the folder's
# name. FAKE_FAIL names runs that fail, FAKE_EXIT their exit code, FAKE_LOG a file that gets a line a start; where
# there is a file FAKE_BUSY, a run is another process's, once.
set -eu
command=$1
all="$*"
if [ "$command" = --json ]; then echo '{"median_ms":300.0,"peak_rss_mib":700.0}'; exit; fi
if [ "$command" = --version ]; then echo "cass 0.0.0 (fake)"; exit; fi
if [ "$command $2" = "data preview" ]; then exit 1; fi
out= seed= method= mode= arch='""' fraction= data_root= epochs=1
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=$2 ;; --seed) seed=$2 ;; --method) method=$2 ;; --mode) mode=$2 ;;
        --arch) arch="\"$2\"" ;; --fraction) fraction=$2 ;; --data-root) data_root=$2 ;; --epochs) epochs=$2 ;;
    esac
    shift
done
name=$(basename "$out")
[ -z "${FAKE_LOG:-}" ] || echo "$command $name" >> "$FAKE_LOG"
if [ "$command" = data ]; then
    for class in glioma meningioma notumor pituitary; do
        mkdir -p "$out/Training/$class" "$out/Testing/$class"
        echo x > "$out/Training/$class/1.png"; echo x > "$out/Testing/$class/1.png"
    done
    exit
fi
if [ -n "${FAKE_SLEEP:-}" ]; then
    # As cass does: asked to stop, it leaves something to go on from.
    sleep "$FAKE_SLEEP" &
    trap 'echo asked >> "$out/asked"; kill $! 2> /dev/null || :; exit 130' TERM
    : > "$out/asleep"
    wait $! || :
fi
if [ -n "${FAKE_BUSY:-}" ] && rm "$FAKE_BUSY" 2> /dev/null; then
    echo "error: $out cannot be used: process 1 on elsewhere is running in it" >&2
    exit 75
fi
if [ -n "${FAKE_FAIL:-}" ]; then
    case $name in *$FAKE_FAIL*)
        printf 'starting\nerror: failed to go on: made to <fail> & stop\n' >&2
        exit "${FAKE_EXIT:-1}" ;;
    esac
fi
mkdir -p "$out"
printf '%s\n' "$all" > "$out/recipe.toml"
printf '{"event":"step","epoch":0,"step":0,"steps":2,"loss":0.5}\n' > "$out/log.jsonl"
noise=$(echo "$name" | cksum | awk '{ print ($1 % 997) / 997 }')
if [ "$command" = pretrain ]; then
    awk -v method="$method" -v n="$noise" -v epochs="$epochs" 'BEGIN {
        printf "{\"kind\":\"pretrain\",\"method\":\"%s\",\"epochs\":[", method
        for (e = 0; e < epochs; e++) {
            loss = method == "cass" ? 0.035 * exp(-1.6 * e) * (0.7 + 0.6 * n) : 11.08 - 0.09 * e * (0.7 + n)
            printf "%s{\"epoch\":%d,\"loss\":%g,\"seconds\":3.1}", e ? "," : "", e, loss
        }
        before = "{\"mean_cosine\":0.62,\"effective_rank\":14.2}"
        printf "],\"collapse\":{"
        if (method == "cass") printf "\"cnn\":{\"before\":%s,\"after\":{\"mean_cosine\":0.9994,\"effective_rank\":1.1}},\"vit\":{\"before\":%s,\"after\":{\"mean_cosine\":0.9999,\"effective_rank\":null}}", before, before
        else printf "\"net\":{\"before\":%s,\"after\":{\"mean_cosine\":0.44,\"effective_rank\":11.%d}}", before, n * 10
        printf "},\"seconds\":%g,\"manifest\":\"sha256-of-the-images\",\"skipped\":[{\"file\":\"Training/glioma/<b>.jpg\",\"reason\":\"truncated\"}],", 10 + n
        printf "\"deviations\":[\"size = 64 (paper: 384)\",\"zero_grad = false (paper: true)\"],\"chosen\":[\"swa_start = 0.75 (of the epochs)\",\"headline F1 = macro\"],\"version\":\"0.0.0\"}\n"
    }' > "$out/metrics.part"
else
    awk -v name="$name" -v n="$noise" -v f="$fraction" -v mode="$mode" -v arch="$arch" 'BEGIN {
        base = f > 0.5 ? 0.58 : (f > 0.05 ? 0.46 : 0.31)
        if (name ~ /supervised/) base += 0.22
        if (name ~ /dino/) base += 0.04
        if (name ~ /linear-cass/) base = 0.1
        if (name ~ /cnn/) base += 0.03
        f1 = base + 0.05 * (n - 0.5)
        printf "{\"kind\":\"probe\",\"mode\":\"%s\",\"arch\":%s,\"fraction\":%s,", mode, arch, f
        printf "\"test\":{\"f1_macro\":%.6f,\"f1_micro\":%.6f,\"f1_weighted\":%.6f,\"accuracy\":%.6f,\"balanced_accuracy\":%.6f},", f1, f1, f1, f1, f1
        printf "\"collapse\":%s,", mode == "linear" ? "{\"mean_cosine\":0.6,\"effective_rank\":9.5}" : "null"
        printf "\"seconds\":%.3f,\"manifest\":\"sha256-of-the-images\",\"skipped\":[],\"deviations\":[],\"chosen\":[]}\n", 2 + n
    }' > "$out/metrics.part"
fi
mv "$out/metrics.part" "$out/metrics.json"

#!/bin/sh
# Submits every array, and prints its number. Where Slurm refused one, the same again submits the rest.
set -eu
cd "$(dirname "$0")"
mkdir -p log
: >> submitted.txt
array() { # FILE [OPTION...]: its number, without the cluster's name
    file=$1
    shift
    number=$(sed -n "s/ $file\$//p" submitted.txt)
    if [ -z "$number" ]; then
        number=$(sbatch --parsable "$@" "$file")
        number=${number%%;*}
        echo "$number $file" >> submitted.txt
    fi
    echo "$number $file"
}
array pretrain.sbatch
needed=$number
array pretrain-probe-00.sbatch --dependency=aftercorr:$needed --kill-on-invalid-dep=yes
array pretrain-probe-01.sbatch --dependency=aftercorr:$needed --kill-on-invalid-dep=yes
array pretrain-probe-02.sbatch --dependency=aftercorr:$needed --kill-on-invalid-dep=yes
array pretrain-probe-03.sbatch --dependency=aftercorr:$needed --kill-on-invalid-dep=yes
array probe.sbatch

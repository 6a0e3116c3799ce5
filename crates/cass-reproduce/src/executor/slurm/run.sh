# One task of a job array: `sh run.sh TASKS`, in the folder of the scripts, started by Slurm.
#
# Line SLURM_ARRAY_TASK_ID + 1 of TASKS is a run folder, the images to copy (or ''), and the `cass` command line that
# finishes the run, quoted for sh. A finished run is not repeated, a broken one goes on from its checkpoint: starting
# a task again is always safe. It exits with 0 only if the run is finished, which is what those that need it wait for.
set -u
tries=3
scratch=

log=log/$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}.txt
[ ! -e stage.sh ] || . ./stage.sh
line=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$1")
eval "set -- $line"
folder=$1 images=$2
shift 2
command=$2
failures=$folder/failures.txt

again() { # to the queue, as the same task
    scontrol requeue "$SLURM_JOB_ID"
    sleep 60 # until that ends this process
    exit 1
}

failed() { # REASON: one more line in failures.txt
    mv "$log" "$folder/stderr.log"
    printf '%s: %s\n' "$(hostname)" "$1" >> "$failures"
    given_up || again
    exit 1
}

given_up() {
    [ -e "$failures" ] && [ "$(wc -l < "$failures")" -ge "$tries" ]
}

# Slurm sends USR1 to this shell alone, ahead of the time limit; TERM, on scancel or preemption, to `cass` as well.
cass= late= told= rang=
trap 'late=1 rang=1; [ -z "$cass" ] || kill -TERM "$cass"' USR1
trap 'told=1 rang=1' TERM

if [ -n "$images" ]; then
    stage "$images" > "$log" 2>&1 || failed "the images cannot be copied: $(tail -n 1 "$log")"
fi

while [ -z "$told" ]; do
    [ -z "$late" ] || again
    ! given_up || exit 1
    "$@" > /dev/null 2> "$log" &
    cass=$!
    while # a signal ends `wait` early
        rang=
        wait "$cass"
        code=$?
        [ -n "$rang" ]
    do :; done
    cass=
    if [ "$code" -eq 0 ]; then
        rm -f "$failures"
        mv "$log" "$folder/stderr.log"
        exit 0
    fi
    [ -z "$told" ] || break
    # Stopped, a pretraining goes on from its checkpoint; a probe would never end where the time is too short for it.
    case $late$command in
    1probe) failed "the time limit came first" ;;
    1*) continue ;;
    esac
    case $code in
    # Slurm took a node for dead, and the run is going on there. Whoever owns the folder goes on; the other waits, to
    # take over should that one end.
    75)
        sleep "${CASS_TWIN_SECONDS:-20}" &
        wait $!
        continue ;;
    # Wrong input stays wrong.
    2) tries=1 ;;
    esac
    failed "exit status $code: $(tail -n 1 "$log")"
done
exit 130

# Copies images to this node's own disk: one task a node does, the others wait for it.
scratch="$SCRATCH/images"
stage() { # NAME
    case $1 in
    cass-brain-mri-fcba21ce) source=/shared/mri ;;
    esac
    mkdir -p "$scratch" || return
    (
        flock 9 || exit
        [ ! -d "$scratch/$1" ] || exit 0
        rm -rf "$scratch/$1.part"
        cp -RL "$source" "$scratch/$1.part" || exit
        sums=$PWD/$1.sha256
        (cd "$scratch/$1.part" && sha256sum --check --strict --quiet "$sums") || exit
        mv "$scratch/$1.part" "$scratch/$1"
    ) 9> "$scratch/$1.lock"
}

// A launch takes up to MANY tensors, blockIdx.y their number: their addresses are in the argument itself.

KERNEL(adam, Adam) {
    unsigned t = blockIdx.y;
    REAL *param = a.params[t], *m = a.m[t], *v = a.v[t];
    const REAL *grad = a.grads[t];
    REAL beta1 = (REAL)a.beta1, beta2 = (REAL)a.beta2, eps = (REAL)a.eps, decay = (REAL)a.decay[t];
    REAL step_size = (REAL)a.step_size[t], root = (REAL)a.bias_correction2_sqrt, scale = (REAL)a.grad_scale;
    usize step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < a.counts[t]; i += step) {
        REAL g = grad[i] * scale + param[i] * decay;
        REAL first = m[i] + (g - m[i]) * (1 - beta1);
        REAL second = v[i] * beta2 + g * g * (1 - beta2);
        m[i] = first;
        v[i] = second;
        param[i] -= first * step_size / (SQRT(second) / root + eps);
    }
}

// torch's SGD; without momentum `buffers` is null.
KERNEL(sgd, Sgd) {
    unsigned t = blockIdx.y;
    REAL *param = a.params[t], *buffer = a.buffers[t];
    const REAL *grad = a.grads[t];
    REAL lr = (REAL)a.lr[t], decay = (REAL)a.decay[t], momentum = (REAL)a.momentum, gain = (REAL)a.gain;
    REAL scale = (REAL)a.grad_scale;
    usize step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < a.counts[t]; i += step) {
        REAL g = grad[i] * scale + param[i] * decay;
        if (buffer) {
            REAL kept = buffer[i] * momentum + g * gain;
            buffer[i] = kept;
            g = a.nesterov ? g + kept * momentum : kept;
        }
        param[i] -= g * lr;
    }
}

// target = keep target + (1 - keep) source.
KERNEL(blend, Blend) {
    unsigned t = blockIdx.y;
    REAL *target = a.targets[t], keep = (REAL)a.keep, share = (REAL)(1 - a.keep);
    const REAL *source = a.sources[t];
    usize step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < a.counts[t]; i += step)
        target[i] = target[i] * keep + source[i] * share;
}

// Squares of gradients: parts[tensor][slice], in f64; slices past the end are 0.
KERNEL(squares, Squares) {
    SHARED(REAL, shared, WARPS);
    unsigned t = blockIdx.y;
    usize first = (usize)blockIdx.x * a.slice;
    usize last = first + a.slice < a.counts[t] ? first + a.slice : a.counts[t];
    REAL sum = 0;
    for (usize i = first + threadIdx.x; i < last; i += BLOCK) sum += a.grads[t][i] * a.grads[t][i];
    sum = TYPED(block_sum)(sum, shared);
    if (threadIdx.x == 0) a.parts[(a.first + t) * a.slices + blockIdx.x] = (double)sum;
}

// One block: the sum of all, thread after thread in one order, in f64.
KERNEL(sum_squares, SumSquares) {
    SHARED(double, shared, BLOCK);
    double sum = 0;
    for (usize i = threadIdx.x; i < a.count; i += BLOCK) sum += a.parts[i];
    shared[threadIdx.x] = sum;
    BARRIER();
    if (threadIdx.x == 0) {
        for (unsigned other = 1; other < BLOCK; other++) sum += shared[other];
        a.total[0] = sum;
    }
}

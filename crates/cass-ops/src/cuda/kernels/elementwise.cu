KERNEL(unary_forward, Unary) {
    usize step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < a.count; i += step)
        a.y[i] = TYPED(function)(a.kind, a.x[i]);
}

KERNEL(unary_backward, UnaryGradient) {
    usize step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < a.count; i += step)
        a.dx[i] = TYPED(function_gradient)(a.kind, a.x[i], a.dy[i]);
}

// y = x * gamma + bias + residual, where what is absent is null. The factor and the bias repeat: value i has number
// i / inner % repeat.
KERNEL(affine, Affine) {
    usize step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < a.count; i += step) {
        usize at = i / a.inner % a.repeat;
        REAL y = a.x[i];
        if (a.gamma) y *= a.gamma[at];
        if (a.bias) y += a.bias[at];
        if (a.residual) y += a.residual[i];
        a.y[i] = y;
    }
}

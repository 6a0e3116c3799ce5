// (B, N, 3, heads, D) -> q, k and v, each (B, heads, N, D).
KERNEL(split_heads, SplitHeads) {
    usize count = a.batch * a.tokens * 3 * a.heads * a.depth, step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < count; i += step) {
        unsigned part;
        usize to = of_head(i, a.tokens, a.heads, a.depth, &part);
        REAL *out = part == 0 ? a.q : part == 1 ? a.k : a.v;
        out[to] = a.qkv[i];
    }
}

// The way back: queries and keys times a factor.
KERNEL(join_heads, JoinHeads) {
    usize count = a.batch * a.tokens * 3 * a.heads * a.depth, step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < count; i += step) {
        unsigned part;
        usize from = of_head(i, a.tokens, a.heads, a.depth, &part);
        a.qkv[i] = part == 0 ? a.q[from] * (REAL)a.scale : part == 1 ? a.k[from] * (REAL)a.scale : a.v[from];
    }
}

// Swaps the two middle dimensions of (B, M, N, D).
KERNEL(swap_middle, SwapMiddle) {
    usize count = a.batch * a.m * a.n * a.depth, step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < count; i += step) {
        usize d = i % a.depth, row = i / a.depth; // of the result, (B, N, M, D)
        usize m = row % a.m, n = row / a.m % a.n, b = row / a.m / a.n;
        a.y[i] = a.x[((b * a.m + m) * a.n + n) * a.depth + d];
    }
}

// softmax(scale * x + bias + mask) of rows (B, heads, N, N), a warp each.
KERNEL(softmax_forward, Softmax) {
    usize row = (usize)blockIdx.x * WARPS + threadIdx.x / WARP;
    unsigned lane = threadIdx.x % WARP;
    if (row >= a.rows) return;
    const REAL *x = a.x + row * a.width, *bias = 0, *mask = 0;
    usize token = row % a.width, head = row / a.width % a.heads, image = row / a.width / a.heads;
    if (a.bias) bias = a.bias + (head * a.width + token) * a.width;
    if (a.mask) mask = a.mask + (image % a.windows * a.width + token) * a.width;
    REAL scale = (REAL)a.scale, most = -INFINITE;
    for (usize i = lane; i < a.width; i += WARP) {
        REAL score = x[i] * scale + (bias ? bias[i] : 0) + (mask ? mask[i] : 0);
        most = score > most ? score : most;
    }
    most = TYPED(warp_max)(most);
    REAL sum = 0;
    for (usize i = lane; i < a.width; i += WARP) {
        REAL e = EXP(x[i] * scale + (bias ? bias[i] : 0) + (mask ? mask[i] : 0) - most);
        a.y[row * a.width + i] = e;
        sum += e;
    }
    sum = 1 / TYPED(warp_sum)(sum);
    for (usize i = lane; i < a.width; i += WARP) a.y[row * a.width + i] *= sum;
}

// The gradient of the scores, before their scale: y (dy - sum(y dy)), a warp a row.
KERNEL(softmax_backward, SoftmaxGradient) {
    usize row = (usize)blockIdx.x * WARPS + threadIdx.x / WARP;
    unsigned lane = threadIdx.x % WARP;
    if (row >= a.rows) return;
    const REAL *y = a.y + row * a.width, *dy = a.dy + row * a.width;
    REAL sum = 0;
    for (usize i = lane; i < a.width; i += WARP) sum += y[i] * dy[i];
    sum = TYPED(warp_sum)(sum);
    for (usize i = lane; i < a.width; i += WARP) a.dx[row * a.width + i] = y[i] * (dy[i] - sum);
}

// A warp takes a row.
KERNEL(layer_norm_forward, LayerNorm) {
    usize row = (usize)blockIdx.x * WARPS + threadIdx.x / WARP;
    unsigned lane = threadIdx.x % WARP;
    if (row >= a.rows) return; // the whole warp
    const REAL *x = a.x + row * a.width;
    REAL sum = 0;
    for (usize i = lane; i < a.width; i += WARP) sum += x[i];
    REAL mean = TYPED(warp_sum)(sum) / a.width;
    sum = 0;
    for (usize i = lane; i < a.width; i += WARP) sum += (x[i] - mean) * (x[i] - mean);
    REAL inv_std = 1 / SQRT(TYPED(warp_sum)(sum) / a.width + (REAL)a.eps);
    if (lane == 0) {
        a.mean[row] = mean;
        a.inv_std[row] = inv_std;
    }
    for (usize i = lane; i < a.width; i += WARP)
        a.y[row * a.width + i] = (x[i] - mean) * inv_std * a.weight[i] + a.bias[i];
}

KERNEL(layer_norm_backward, LayerNormGradient) {
    usize row = (usize)blockIdx.x * WARPS + threadIdx.x / WARP;
    unsigned lane = threadIdx.x % WARP;
    if (row >= a.rows) return;
    const REAL *x = a.x + row * a.width, *dy = a.dy + row * a.width;
    REAL mean = a.mean[row], inv_std = a.inv_std[row], sum = 0, product = 0;
    for (usize i = lane; i < a.width; i += WARP) {
        REAL g = dy[i] * a.weight[i];
        sum += g;
        product += g * ((x[i] - mean) * inv_std);
    }
    sum = TYPED(warp_sum)(sum) / a.width;
    product = TYPED(warp_sum)(product) / a.width;
    for (usize i = lane; i < a.width; i += WARP) {
        REAL normal = (x[i] - mean) * inv_std;
        a.dx[row * a.width + i] = inv_std * (dy[i] * a.weight[i] - sum - normal * product);
    }
}

// Partial gradients of weight and bias: a block takes 32 columns of one slice of rows.
KERNEL(layer_norm_columns, LayerNormColumns) {
    SHARED(REAL, weights, BLOCK);
    SHARED(REAL, biases, BLOCK);
    unsigned lane = threadIdx.x % WARP, part = threadIdx.x / WARP;
    usize column = (usize)blockIdx.x * WARP + lane;
    usize first = (usize)blockIdx.y * a.slice, last = first + a.slice < a.rows ? first + a.slice : a.rows;
    REAL dweight = 0, dbias = 0;
    if (column < a.width)
        for (usize row = first + part; row < last; row += WARPS) {
            REAL dy = a.dy[row * a.width + column];
            dweight += dy * ((a.x[row * a.width + column] - a.mean[row]) * a.inv_std[row]);
            dbias += dy;
        }
    weights[threadIdx.x] = dweight;
    biases[threadIdx.x] = dbias;
    BARRIER();
    if (part == 0 && column < a.width) {
        for (unsigned other = 1; other < WARPS; other++) {
            dweight += weights[other * WARP + lane];
            dbias += biases[other * WARP + lane];
        }
        usize at = (usize)blockIdx.y * 2 * a.width + column;
        a.parts[at] = dweight;
        a.parts[at + a.width] = dbias;
    }
}

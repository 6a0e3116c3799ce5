// A block takes a row: the loss -sum(p log(q + eps)) with p = softmax((target - center) / target_temp) and
// q = softmax(logits / temp), and the gradient of the mean over all rows.
KERNEL(soft_cross_entropy, SoftCrossEntropy) {
    SHARED(REAL, shared, WARPS);
    usize row = blockIdx.x;
    const REAL *target = a.target + row * a.width, *logits = a.logits + row * a.width;
    REAL target_temp = (REAL)a.target_temp, temp = (REAL)a.temp, eps = (REAL)a.eps;
    REAL most_p = -INFINITE, most_q = -INFINITE;
    for (usize i = threadIdx.x; i < a.width; i += BLOCK) {
        REAL p = (target[i] - a.center[i]) / target_temp, q = logits[i] / temp;
        most_p = p > most_p ? p : most_p;
        most_q = q > most_q ? q : most_q;
    }
    most_p = TYPED(block_max)(most_p, shared);
    most_q = TYPED(block_max)(most_q, shared);
    REAL sum_p = 0, sum_q = 0;
    for (usize i = threadIdx.x; i < a.width; i += BLOCK) {
        sum_p += EXP((target[i] - a.center[i]) / target_temp - most_p);
        sum_q += EXP(logits[i] / temp - most_q);
    }
    sum_p = 1 / TYPED(block_sum)(sum_p, shared);
    sum_q = 1 / TYPED(block_sum)(sum_q, shared);
    REAL loss = 0, shares = 0;
    for (usize i = threadIdx.x; i < a.width; i += BLOCK) {
        REAL p = EXP((target[i] - a.center[i]) / target_temp - most_p) * sum_p;
        REAL q = EXP(logits[i] / temp - most_q) * sum_q;
        shares += p * q / (q + eps); // before the logarithm, behind which f64 would spill
        loss -= p * LOG(q + eps);
    }
    loss = TYPED(block_sum)(loss, shared);
    shares = TYPED(block_sum)(shares, shared);
    if (threadIdx.x == 0) a.loss[row] = loss;
    if (!a.gradient) return;
    REAL step = 1 / (temp * (REAL)a.rows);
    for (usize i = threadIdx.x; i < a.width; i += BLOCK) {
        REAL p = EXP((target[i] - a.center[i]) / target_temp - most_p) * sum_p;
        REAL q = EXP(logits[i] / temp - most_q) * sum_q;
        a.gradient[row * a.width + i] = (q * shares - p * q / (q + eps)) * step;
    }
}

// Sums are cut by size, never by the number of processors, and added in one order: the same bits every time.

// Partial sums of columns of x (rows, width), or of x * y: a block takes 32 columns of one slice of rows.
KERNEL(column_sums, ColumnSums) {
    SHARED(REAL, shared, BLOCK);
    unsigned lane = threadIdx.x % WARP, part = threadIdx.x / WARP;
    usize column = (usize)blockIdx.x * WARP + lane;
    usize first = (usize)blockIdx.y * a.slice, last = first + a.slice < a.rows ? first + a.slice : a.rows;
    REAL sum = 0;
    if (column < a.width)
        for (usize row = first + part; row < last; row += WARPS) {
            usize at = row * a.width + column;
            sum += a.y ? a.x[at] * a.y[at] : a.x[at];
        }
    shared[threadIdx.x] = sum;
    BARRIER();
    if (part == 0 && column < a.width) {
        for (unsigned other = 1; other < WARPS; other++) sum += shared[other * WARP + lane];
        a.parts[(usize)blockIdx.y * a.width + column] = sum;
    }
}

// total[i] = sum of parts[s][i] over s.
KERNEL(sum_slices, SumSlices) {
    usize step = (usize)gridDim.x * BLOCK;
    for (usize i = (usize)blockIdx.x * BLOCK + threadIdx.x; i < a.count; i += step) {
        REAL sum = 0;
        for (usize s = 0; s < a.slices; s++) sum += a.parts[s * a.count + i];
        a.total[i] = sum;
    }
}

// Partial sums of each channel of x (batch, channels, size), or of x * y: a block takes one slice of a channel's places.
KERNEL(channel_sums, ChannelSums) {
    SHARED(REAL, shared, WARPS);
    usize channel = blockIdx.x, slice = blockIdx.y;
    unsigned size = (unsigned)a.size, places = (unsigned)(a.batch * a.size);
    unsigned first = (unsigned)(slice * a.slice), last = slice_end(first, a.slice, places);
    REAL sum = 0;
    for (unsigned i = first + threadIdx.x; i < last; i += BLOCK) {
        usize at = in_channel(i, channel, a.channels, size);
        sum += a.y ? a.x[at] * a.y[at] : a.x[at];
    }
    sum = TYPED(block_sum)(sum, shared);
    if (threadIdx.x == 0) a.parts[slice * a.channels + channel] = sum;
}

// One block: total[0] = scale * sum of x.
KERNEL(sum_all, SumAll) {
    SHARED(REAL, shared, WARPS);
    REAL sum = 0;
    for (usize i = threadIdx.x; i < a.count; i += BLOCK) sum += a.x[i];
    sum = TYPED(block_sum)(sum, shared);
    if (threadIdx.x == 0) a.total[0] = sum * (REAL)a.scale;
}

// Where values lie, whatever their dtype.

// Value i of a channel of (batch, channels, size), in which its images follow each other.
HELPER usize in_channel(unsigned i, usize channel, usize channels, unsigned size) {
    return ((usize)(i / size) * channels + channel) * size + i % size;
}

// Where a slice of a channel's places ends.
HELPER unsigned slice_end(unsigned first, usize slice, unsigned places) {
    return places - first < slice ? places : first + (unsigned)slice;
}

// The first window that holds a row or column, padding counted; the last is at / stride.
HELPER unsigned first_window(unsigned at, unsigned kernel, unsigned stride) {
    return at < kernel ? 0 : (at - kernel) / stride + 1;
}

// Value i of (B, N, 3, heads, D): which of queries, keys and values it is of, and its place there, (B, heads, N, D).
HELPER usize of_head(usize i, usize tokens, usize heads, usize depth, unsigned *part) {
    usize width = heads * depth, token = i / (3 * width);
    unsigned inside = (unsigned)(i % (3 * width));
    unsigned head = inside % (unsigned)width / (unsigned)depth, d = inside % (unsigned)depth;
    *part = inside / (unsigned)width;
    return ((token / tokens * heads + head) * tokens + token % tokens) * depth + d;
}

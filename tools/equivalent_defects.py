"""Changes after which the kernels compute the same, which no test can notice: for tools/mutate, with the reasons.

FILE: [(kind of the change, the line without what it is indented by, reason)]
"""

MASKED = "what lies past the last one is masked: it adds zero"
IDLE = "a block more, which finds nothing to do"
EITHER = "where the two are equal it does not matter which is taken"
SLOWER = "the same values, more slowly"

EQUIVALENT = {
    "attention.cuh": [
        ("< made <=", "for (int64_t key = 0; key < g.tokens; key += tile) {", MASKED),
    ],
    "attention.h": [
        ("<= made <", "if (g.width <= 32)", SLOWER),
        ("<= made <", "else if (g.width <= 64)", SLOWER),
        ("- 1 dropped", "inline int64_t tiles_of(int64_t tokens) { return (tokens + tile - 1) / tile; }", IDLE),
    ],
    "attention_grad.cuh": [
        ("< made <=", "for (int64_t key = 0; key < g.tokens; key += tile) {", MASKED),
        ("< made <=", "for (int64_t query = 0; query < g.tokens; query += tile) {", MASKED),
        ("> made >=", "s[i][j] = expf(log_p > 0 ? 0.f : log_p) * c;  // no more than one, whatever was lost of scores of 1e15", EITHER),
    ],
    "attention_tiles.cuh": [
        ("< made <=", "for (int j = 0; j < TileOf<D>::columns; ++j)", "a column past the tile's is past the head's width, and not written"),
        ("+ 1 dropped", "constexpr int score_stride = tile + 1;  // of a tile of scores, so that a column's banks differ", SLOWER),
        ("+ 1 dropped", "static constexpr int stride = D + 1, floats = tile * stride, columns = D / apart;  // columns: of a thread", SLOWER),
    ],
    "codes.cuh": [
        ("< made <=", "for (int64_t first = 0; first < cols; first += tile, to += tile / in_byte, counter += tile / drawn * 8) {",
         "a tile of no values, which writes no byte"),
        ("< made <=", "const int n = cols - first < tile ? static_cast<int>(cols - first) : tile;", EITHER),
        (">= made >", "const bool has_zero = zero >= 0 && zero <= 255 && zero == floorf(zero);", "an offset of zero leaves the scaled code either way"),
    ],
    "column_sums.cuh": [
        ("< made <=", "const int64_t first = blockIdx.y * range, last = first + range < rows ? first + range : rows;", EITHER),
    ],
    "column_sums.h": [
        ("== made !=", "const int64_t room = x.cols == 0 ? 1 : floats / x.cols;", "one range of rows for many: " + SLOWER),
        ("== made !=", "if (ranges == 1) return run(f, x, 1, beta, out.row(0), 0);", "two passes for one, and one for two: " + SLOWER),
        ("- 1 dropped", "const int64_t range = (from.rows + ranges - 1) / ranges;", "ranges a row longer hold all rows too, and the last may be empty"),
    ],
    "elementwise.cu": [
        ("- 1 dropped", "dim3 grid = blocks_for((cols + lanes - 1) / lanes, threads);", IDLE),
    ],
    "elementwise.cuh": [
        ("< made <=", "for (int64_t first = 4 * (int64_t{blockIdx.x} * threads + threadIdx.x); first < n; first += step) {",
         "a turn that ends at once"),
    ],
    "layernorm.cu": [
        ("> made >=", "const bool wide = wants_params && sums > 40 * 1024;", "sums in shared memory or in the device's: the same"),
        ("&& made ||", "const bool wide = wants_params && sums > 40 * 1024;", "sums in shared memory or in the device's: the same"),
        ("- 1 dropped", "unsigned row_blocks(int64_t rows) { return static_cast<unsigned>((rows + warps - 1) / warps); }", IDLE),
    ],
    "loss.cu": [
        ("- 1 dropped", "unsigned row_blocks(int64_t rows) { return static_cast<unsigned>((rows + warps - 1) / warps); }", IDLE),
    ],
    "masks.cu": [
        ("- 1 dropped", "const auto runs = static_cast<uint32_t>((in.sample_rows + run_rows - 1) / run_rows);", IDLE),
        ("- 1 dropped", "const int64_t samples = (first_row + out.rows - 1) / in.sample_rows - first_sample + 1;", IDLE),
    ],
    "masks.cuh": [
        ("< made <=", "for (uint32_t turn = piece.first; turn < piece.last; turn += words_of_block()) {", MASKED),
        ("< made <=", "const int64_t end = begin + run < (sample + 1) * sample_rows ? begin + run : (sample + 1) * sample_rows;", EITHER),
        ("< made <=", "first = begin < first_row ? first_row : begin;", EITHER),
        ("< made <=", "last = end < first_row + rows ? end : first_row + rows;", EITHER),
        ("< made <=", "for (int64_t turn = run.first; turn < run.last; turn += pack_warps) {", "a turn in which no row is there"),
        ("< made <=", "for (int64_t w = 0; there && w < words; w += 32) {", "a turn in which no word is there"),
        ("< made <=", "for (int j = 0; j < 32 && w + j < words; ++j) {",
         "a word past the last has no column, and one past the warp's is written again, rightly, by the next turn"),
        (">= made >", "if (run.first >= run.last) return;  // the whole block", "a run of no rows"),
        ("&& made ||", "for (int j = 0; j < 32 && w + j < words; ++j) {",
         "a word past the last has no column, and one past the warp's is written again, rightly, by the next turn"),
        ("+= made -=", "for (uint32_t p = threadIdx.x; p < piece.number; p += blockDim.x) {",
         "the room of the backend is for 127 pieces, fewer than a block of several pieces has threads: there is one turn"),
    ],
    "pack.cu": [
        ("< made <=", "for (uint32_t first = 0; first < sets.count; first += sets.at_once) {", "launches of no blocks"),
        ("|| made &&", "if (out.rows == 0 || in.cols == 0) return;", "launches of no blocks"),
    ],
    "pack.h": [
        ("- 1 dropped", "inline dim3 a_warp_a_row(int64_t rows) { return dim3(static_cast<unsigned>((rows + pack_warps - 1) / pack_warps)); }", IDLE),
    ],
    "select.cu": [
        ("- 1 dropped", "words_per_piece = (words + wanted - 1) / wanted;", "pieces a word longer hold all words too"),
        ("- 1 dropped", "return std::min<uint32_t>(most_threads, 32 * ((words_per_piece + words_of_warp - 1) / words_of_warp));",
         "a warp more, which finds nothing to do"),
    ],
    "select.cuh": [
        ("< made <=", "for (uint32_t i = piece.first + threadIdx.x / 32 * words_of_warp; i < piece.last; i += words_of_block()) {",
         "a turn in which no value is there"),
        ("> made >=", "if (lowest > 0) atomicAdd(&of_block[0], lowest);", "zero is added"),
        ("< made <=", "if (before < k && k <= before + sum) {", "nothing is left to find among this thread's buckets"),
        ("&& made ||", "if (before < k && k <= before + sum) {", "among the buckets of another thread than the one it lies in nothing is found"),
    ],
    "short_types.cuh": [
        ("< made <=", "return narrowed<__half>(v > largest ? largest : v < -largest ? -largest : v);", EITHER),
        ("> made >=", "return narrowed<__half>(v > largest ? largest : v < -largest ? -largest : v);", EITHER),
    ],
    "warp_rows.cuh": [
        ("< made <=", "for (int offset = 1; offset < 32; offset *= 2) {", "no lane has one 32 below it"),
    ],
}

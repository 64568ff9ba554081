// Package forest is a histogram random forest for a binary outcome: training, out-of-bag calibration, inference,
// path attributions and the model's file format.
//
// It owns the numbers of a model and nothing else: no schema, no files, no registry. It imports only the standard
// library and the forest's arithmetic is chosen so that an ONNX export can be bit-equal:
//
//   - every input is rounded to float32 before it is compared, and cut points are float32 numbers (floored), so
//     `float32(x) <= cut` is the whole numeric test (ONNX BRANCH_LEQ);
//   - leaf and inner values are integers in units of 2^-17, summed as integers, divided once at the end: the sum is
//     exact in any order, and in float32 too while trees <= 128 (trees * 2^17 <= 2^24);
//   - NaN is "missing" and takes the side that the node learned (nodes_missing_value_tracks_true);
//   - a categorical column's categories are ordered once, by smoothed bad rate on the training rows; a node then
//     tests `rank(category) <= r`, which is a subset of the categories. An export turns it into a chain of BRANCH_EQ
//     over the categories of the side that missing does NOT take: NaN, unknown and unseen categories then fall
//     through to the missing side, exactly as here. One order for the whole forest (not one a node) keeps inference
//     at one byte comparison and the export small; any subset is still reachable by splitting again further down.
//
// Bins: each column has up to 255 quantile bins, code 0 is missing. A row is coded into one byte a column, once, and
// all trees walk on these bytes.
//
// Reproducibility: tree t draws from splitmix64 seeded by (seed, t) and votes are integers, so the same Data and
// Params give the same bytes for any number of workers.
//
// Concurrency: a Forest is immutable; every method may be called from any number of goroutines. Score, Raw and
// Attribute do not allocate and do not block. Train blocks, uses Params.Workers goroutines, and stops all of them
// before it returns. Test it with small Data literals; nothing here reads a clock, a file or the environment.
package forest

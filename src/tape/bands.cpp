// Segments that work on a band of images at a time.
//
// Forward, a band of x is copied, goes through the body, and what comes out takes the place of that band of x, so that
// beside x only one band's values are there.  Backward the same way: bands from the last to the first, each with its
// part of the result's gradient, in whose place the gradient of x is put together.
#include <algorithm>

#include "shear/backend.h"
#include "shear/error.h"
#include "shear/tape.h"

namespace shear {

namespace {

struct TakeBandGrad {
  Slot y;
  int banded;
  int64_t first_row;
  void operator()(Backward& bw) const { bw.gather(banded, first_row, y); }
};

struct PutBandGrad {
  Slot part;
  int banded;
  int64_t first_row;
  void operator()(Backward& bw) const { bw.divide(banded, first_row, part); }
};

// Rows of the tensor that an image has.
int64_t rows_of_image(const Shape& s) { return s.rows() / s[0]; }

// Of a segment: a sixteenth of its values is little beside x and the result, and what the tape notes grows with bands.
constexpr int64_t most_bands = 16;

}  // namespace

// In equal bands, but for the last; 0: all at once, as within a band.
int64_t Tape::images_at_once(std::string_view site, const Tensor& x) const {
  if (!recording() || in_backward_ || in_band_) return 0;
  const int64_t rows = policy_->band_rows({site, block_}), all = x.shape().rank() > 0 ? x.shape()[0] : 0;
  if (rows <= 0 || x.rows() <= rows || all < 2) return 0;
  const int64_t bands = std::min({(x.rows() + rows - 1) / rows, all, most_bands}), images = (all + bands - 1) / bands;
  return images < all ? images : 0;
}

StreamKey Tape::in_band(StreamKey all) const {
  all.b += band_ << 16;
  return all;
}

Tensor Tape::take_band(std::string_view site, const Tensor& x, int64_t first, int64_t images) {
  admit("segment", site, {x});
  check_begun("segment", site);
  Tensor part = empty(x.shape().with_first(images));
  const int64_t row = first * rows_of_image(x.shape());
  run().copy(ConstView(x).band(row, part.rows()), 0, part);
  if (x.slot.wanted()) {
    part.slot = new_slot(part.shape());
    append(part.slot, TakeBandGrad{part.slot, static_cast<int>(banded_.size()) - 1, row}, site);
  }
  return part;
}

void Tape::put_band(std::string_view site, const Tensor& part, int64_t first, int64_t images, Tensor& x, Tensor& y) {
  const Shape& s = part.shape();
  require(s.rank() > 0 && s[0] == images, "segment ", site, ": made ", s, " of a band of ", images,
          " images, expected as many in the first dimension");
  if (!y) {
    const Shape whole = s.with_first(x.shape()[0]);
    y = whole == x.shape() && x.storage().unique() ? x.renamed() : empty(whole);
    y.slot = {};
    if (part.slot.wanted()) banded_.back().y = y.slot = new_slot(whole);
  }
  const int64_t row = first * rows_of_image(s);
  run().copy(part, 0, View(y).band(row, part.rows()));
  if (!part.slot.wanted()) return;
  Node& node = append(y.slot, PutBandGrad{part.slot, static_cast<int>(banded_.size()) - 1, row}, site);
  node.goes_on = first > 0;  // backward comes to the first band last
}

// The lines of the report from `first` on are a band's: where those before them are the same values of another band,
// these take their bytes.
void Tape::merge_rows(size_t first) {
  const size_t rows = report_.size() - first;
  if (rows > first) return;
  const auto same = [](const SaveRow& a, const SaveRow& b) {
    return a.site == b.site && a.op == b.op && a.asked == b.asked && a.got == b.got && a.why == b.why;
  };
  const auto band = report_.begin() + static_cast<std::ptrdiff_t>(first),
             before = band - static_cast<std::ptrdiff_t>(rows);
  if (!std::equal(before, band, band, report_.end(), same)) return;
  for (size_t i = first; i < report_.size(); ++i) {
    report_[i - rows].dense_bytes += report_[i].dense_bytes;
    report_[i - rows].saved_bytes += report_[i].saved_bytes;
  }
  report_.resize(first);
}

// Rows as long as another value's: ops may have given this one another shape of as many elements.
static View rows_of(Tensor& t, int64_t columns) { return {t.data<void>(), t.elements() / columns, columns, columns}; }

void Backward::divide(int banded, int64_t first_row, Slot part) {
  const Tensor& whole = grad(tape_.banded_[static_cast<size_t>(banded)].y);
  Tensor& own = tape_.grads_[static_cast<size_t>(part.id)];
  own = tape_.empty(tape_.shapes_[static_cast<size_t>(part.id)]);
  const View rows = rows_of(own, whole.cols());
  run().copy(ConstView(whole).band(first_row, rows.rows), 0, rows);
}

void Backward::gather(int banded, int64_t first_row, Slot part) {
  Tape::Banded& b = tape_.banded_[static_cast<size_t>(banded)];
  Tensor& into = tape_.grads_[static_cast<size_t>(b.x.id)];
  if (!std::exchange(b.begun, true)) {
    const Tensor& whole = grad(b.y);
    if (!into && whole.shape() == b.x_shape && whole.storage().unique())
      into = whole.reshaped(tape_.shapes_[static_cast<size_t>(b.x.id)]), b.beta = 0;  // each band was read before
    else
      b.beta = sink(b.x, b.x_shape).beta;
  }
  const Tensor& own = grad(part);
  run().copy(own, b.beta, rows_of(into, own.cols()).band(first_row, own.rows()));
}

}  // namespace shear

// Patch embedding: a convolution of stride p as a product of patches, made in bands, with the kernel
#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

struct PatchEmbedGrad {
  Slot y;
  PatchGrid grid;
  int64_t batch;
  Param *w, *b;
  Saved images;

  void operator()(Backward& bw) const {
    const Tensor& dy = bw.grad(y);  // (B, P, D)
    if (images.valid()) {
      const auto [dw, beta] = bw.sink(*w);
      const Tensor& pixels = bw.dense(images);
      Tensor kernel = dw.reshaped({dy.cols(), grid.size()}),
             band = bw.scratch({std::min(band_rows, dy.rows()), grid.size()});
      for (int64_t first = 0; first < dy.rows(); first += band_rows) {
        const View part = View(band).band(0, std::min(band_rows, dy.rows() - first));
        bw.run().gather_patches(grid, pixels, first, part);
        bw.run().gemm(Transposed::yes, ConstView(dy).band(first, part.rows), Transposed::no, part,
                      first == 0 ? beta : 1.f, kernel);
      }
      bw.close(images);
    }
    if (b && b->trainable) {
      auto [db, beta] = bw.sink(*b);
      bw.run().column_sums(dy, beta, db);
    }
  }
};

}  // namespace

Tensor patch_embed(Tape& tape, Site site, const Tensor& images, int64_t patch, Param& w, Param* b) {
  const OpScope op(tape, "patch_embed", site, {images, MaySleep{w}, b});
  const Shape& s = images.shape();
  op.expect(s.rank() == 4 && patch > 0 && s[2] >= patch && s[3] >= patch, "images ", s, " have no patch of ", patch);
  const PatchGrid grid{s[1], s[2], s[3], patch};
  const int64_t width = w.value.shape()[0], rows = s[0] * grid.count();
  op.expect(w.value.elements() == width * grid.size() && (!b || b->value.elements() == width), "weight ",
            w.value.shape(), " and bias ", b ? b->value.shape() : Shape{}, " do not fit patches of ", grid.size(),
            " values");
  op.expect(!images.slot.wanted(), "has no gradient for images");
  Tensor y = tape.empty({s[0], grid.count(), width});
  {
    Tensor band = tape.empty({std::min(band_rows, rows), grid.size()});
    const Tensor weight = tape.factor(w).reshaped({width, grid.size()});
    for (int64_t first = 0; first < rows; first += band_rows) {
      const int64_t n = std::min(band_rows, rows - first);
      const View part = View(band).band(0, n);
      tape.run().gather_patches(grid, images, first, part);
      tape.run().gemm(Transposed::no, part, Transposed::yes, weight, 0, View(y).band(first, n),
                      b ? ConstView(b->value) : ConstView{});
    }
  }
  if (op.wanted()) {
    const Saved pixels = w.trainable ? op.save(images, Role::other, Form::dense, {.weight = &w}) : Saved{};
    op.record(y, PatchEmbedGrad{{}, grid, s[0], &w, b, pixels});
  }
  return y;
}

}  // namespace shear

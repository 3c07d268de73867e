// y = (x - mean) / sqrt(var + epsilon) * gamma + beta, over rows; RMSNorm has no mean and no beta
#include <algorithm>

#include "shear/op.h"
#include "shear/ops.h"
#include "tape/contract.h"

namespace shear {

namespace {

// The statistics of n rows from `first`; none where there are none.
ConstView part(ConstView statistics, int64_t first, int64_t n) {
  return statistics.data ? ConstView(statistics.row(0) + first, 1, n, n) : ConstView();
}

ConstView held(Backward& bw, Saved s) { return s.valid() ? ConstView(bw.dense(s)) : ConstView(); }
ConstView values(const Param* p) { return p ? ConstView(p->value) : ConstView(); }

// The input, or where it is `standardised`, see layernorm_standardise, what it came to.
struct Input {
  Saved saved;
  bool standardised;

  // Rows as they were taken, in `room` if they do not lie there as they were; standardised ones, which codes are of,
  // come back from the values before the norm rounded them in a run of bf16.
  ConstView rows(Backward& bw, ConstView mean, ConstView rstd, int64_t first, View room) const {
    const ConstView in = rows_as_taken(bw, bw.open(saved), first, room);
    if (!standardised) return in;
    bw.run().layernorm_unstandardise(in, part(mean, first, room.rows), part(rstd, first, room.rows), room);
    return room;
  }
};

struct LayerNormGrad {
  Slot x, y;
  Param *gamma, *beta;
  Input input;
  Saved mean, rstd;

  void operator()(Backward& bw) const {
    const Tensor& dy = bw.grad(y);
    Tensor scratch = bw.scratch({bw.run().layernorm_scratch(dy.cols())});
    View dx, dgamma, dbeta;
    float beta_dx = 0, beta_gamma = 0, beta_beta = 0;
    if (gamma->trainable) {
      auto sink = bw.sink(*gamma);
      dgamma = sink.into, beta_gamma = sink.beta;
    }
    if (beta && beta->trainable) {
      auto sink = bw.sink(*beta);
      dbeta = sink.into, beta_beta = sink.beta;
    }
    // Where only one of them holds something already (a gamma that two norms share), the other begins with zeros.
    const float beta_params = std::max(beta_gamma, beta_beta);
    if (dgamma.data && beta_gamma != beta_params) bw.run().fill(dgamma, 0);
    if (dbeta.data && beta_beta != beta_params) bw.run().fill(dbeta, 0);
    if (x.wanted()) {
      auto sink = bw.sink_over(x, y);
      dx = sink.into, beta_dx = sink.beta;
    }
    const ConstView means = held(bw, mean), rstds = bw.dense(rstd);
    const auto grad = [&](int64_t first, int64_t n, ConstView in) {
      bw.run().layernorm_grad(in, part(means, first, n), part(rstds, first, n), gamma->value,
                              ConstView(dy).band(first, n), beta_dx, dx.data ? dx.band(first, n) : dx,
                              first == 0 ? beta_params : 1.f, dgamma, dbeta, scratch);
    };
    if (input.standardised) {
      Tensor room = bw.scratch({std::min(band_rows, dy.rows()), dy.cols()});
      for (int64_t first = 0; first < dy.rows(); first += band_rows) {
        const int64_t n = std::min(band_rows, dy.rows() - first);
        grad(first, n, input.rows(bw, means, rstds, first, View(room).band(0, n)));
      }
    } else {
      each_band(bw, bw.open(input.saved), dy.rows(), dy.cols(), band_rows, grad);
    }
    bw.close(rstd);
    if (mean.valid()) bw.close(mean);
    bw.close(input.saved);
  }
};

struct RemakeLayerNorm {
  Input input;
  Saved mean, rstd;
  const Param *gamma, *beta;

  void operator()(Backward& bw, int64_t first, View band) const {
    const ConstView in = rows_as_taken(bw, bw.open(input.saved), first, band);
    if (input.standardised) {  // half of the norm is done
      Tensor ones = bw.scratch({band.rows});
      bw.run().fill(ones, 1);
      bw.run().layernorm_apply(in, {}, ones, gamma->value, values(beta), band);
    } else {
      bw.run().layernorm_apply(in, part(held(bw, mean), first, band.rows), part(bw.dense(rstd), first, band.rows),
                               gamma->value, values(beta), band);
    }
  }
};

// Both norms: `beta` is null for RMSNorm.
Tensor norm(Tape& tape, std::string_view name, Site site, const Tensor& x, Param& gamma, Param* beta, float epsilon) {
  const OpScope op(tape, name, site, {x, gamma, beta});
  op.expect(x.cols() == gamma.value.elements() && (!beta || x.cols() == beta->value.elements()), "input ", x.shape(),
            " does not fit gamma ", gamma.value.shape(), beta ? text(" and beta ", beta->value.shape()) : "");
  Tensor y = tape.empty(x.shape()), mean = beta ? tape.empty({x.rows()}) : Tensor(), rstd = tape.empty({x.rows()});
  tape.run().layernorm(x, gamma.value, values(beta), epsilon, y, mean, rstd);
  if (op.wanted()) {
    Tensor standard;
    if (op.wants(Way::standardised_norm_input)) {
      standard = tape.empty(x.shape());
      tape.run().layernorm_standardise(x, beta ? ConstView(mean) : ConstView(), rstd, standard);
    }
    const Input input{op.save(standard ? standard : x, Role::norm_input, Form::packed), static_cast<bool>(standard)};
    const Saved m = beta ? op.hold(mean) : Saved{}, r = op.hold(rstd);
    op.record(y, LayerNormGrad{x.slot, {}, &gamma, beta, input, m, r});
    const RemakeLayerNorm again{input, m, r, &gamma, beta};
    if (beta)
      op.recipe(y, {input.saved, m, r}, again, InSources::linear);
    else
      op.recipe(y, {input.saved, r}, again, InSources::linear);
  }
  return y;
}

}  // namespace

Tensor layernorm(Tape& tape, Site site, const Tensor& x, Param& gamma, Param& beta, float epsilon) {
  return norm(tape, "layernorm", site, x, gamma, &beta, epsilon);
}

Tensor rmsnorm(Tape& tape, Site site, const Tensor& x, Param& gamma, float epsilon) {
  return norm(tape, "rmsnorm", site, x, gamma, nullptr, epsilon);
}

}  // namespace shear

// The arithmetic of log_sum_exp.hpp.

namespace troupe::kernels::TROUPE_TARGET {

struct RowExtremes {
  float max;
  bool has_nan;
};

/// The largest logit that is no NaN; -infinity if there is none.
TROUPE_INLINE RowExtremes row_extremes(const float* logits, int count) {
  const float nothing = -__builtin_inff();
  F32x16 highest = F32x16::broadcast(nothing);
  F32x16 nans = F32x16::zero();  // 1 where a NaN was seen
  const F32x16 one = F32x16::broadcast(1.0F);
  for (int i = 0; i < count; i += lanes) {
    const int rest = count - i < lanes ? count - i : lanes;
    const F32x16 x = rest == lanes ? F32x16::load(logits + i) : F32x16::load_first(logits + i, rest, nothing);
    highest = max(x, highest);
    nans = select(equal(x, x), nans, one);
  }
  return {tree_max(highest), tree_max(nans) > 0};
}

TROUPE_INLINE int first_equal(const float* logits, int count, float value) {
  const F32x16 wanted = F32x16::broadcast(value);
  int i = 0;
  while (i + lanes <= count && !any(equal(F32x16::load(logits + i), wanted))) i += lanes;
  for (; i < count; ++i) {
    if (logits[i] == value) return i;
  }
  return 0;  // a row of NaN alone
}

TROUPE_INLINE float sum_of_exp(const float* logits, int count, float max) {
  const F32x16 shift = F32x16::broadcast(max);
  F32x16 sums = F32x16::zero();
  int i = 0;
  for (; i + lanes <= count; i += lanes) sums = sums + exp(F32x16::load(logits + i) - shift);
  if (i < count) sums = sums + exp(F32x16::load_first(logits + i, count - i, -__builtin_inff()) - shift);
  return tree_sum(sums);
}

void log_sum_exp(const LogSumExp& arguments, Range rows) {
  const int count = arguments.vocabulary;
  for (std::int32_t row = rows.first; row < rows.last; ++row) {
    const float* logits = arguments.logits + static_cast<std::size_t>(row) * static_cast<std::size_t>(count);
    const RowExtremes extremes = row_extremes(logits, count);
    LogitSummary& summary = arguments.summary[row];
    summary.best = first_equal(logits, count, extremes.max);
    summary.max = extremes.max == 0 ? logits[summary.best] : extremes.max;  // which zero is decided by the id, not by lanes
    if (extremes.has_nan) {
      summary.log_sum_exp = __builtin_nanf("");
    } else if (extremes.max - extremes.max != 0) {
      summary.log_sum_exp = extremes.max;
    } else {
      summary.log_sum_exp = summary.max + log(F32x16::broadcast(sum_of_exp(logits, count, extremes.max))).first();
    }
  }
}

}  // namespace troupe::kernels::TROUPE_TARGET

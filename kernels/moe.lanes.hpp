// The arithmetic of moe.hpp. Moving rows is no arithmetic, and is done in moe.cpp.

namespace troupe::kernels::TROUPE_TARGET {

/// gate[0..experts) = softmax of the logits. Lanes past the end hold -infinity, whose exponential adds 0.
TROUPE_INLINE void softmax_gates(const float* logits, int experts, float* gate) {
  const float nothing = -__builtin_inff();
  F32x16 highest = F32x16::broadcast(nothing);
  for (int e = 0; e < experts; e += lanes) {
    const int count = experts - e < lanes ? experts - e : lanes;
    highest = max(F32x16::load_first(logits + e, count, nothing), highest);
  }
  const F32x16 shift = F32x16::broadcast(tree_max(highest));
  F32x16 sums = F32x16::zero();
  for (int e = 0; e < experts; e += lanes) {
    const int count = experts - e < lanes ? experts - e : lanes;
    const F32x16 value = exp(F32x16::load_first(logits + e, count, nothing) - shift);
    sums = sums + value;
    value.store(gate + e);
  }
  const F32x16 sum = F32x16::broadcast(tree_sum(sums));
  for (int e = 0; e < experts; e += lanes) (F32x16::load(gate + e) / sum).store(gate + e);
}

/// Marks the `chosen` largest gates; of equal ones (and where NaN makes all incomparable) the lower id.
TROUPE_INLINE void mark_largest(const float* gate, int experts, int chosen, bool* marked) {
  for (int e = 0; e < experts; ++e) marked[e] = false;
  for (int c = 0; c < chosen; ++c) {
    int best = -1;
    for (int e = 0; e < experts; ++e) {
      if (!marked[e] && (best < 0 || gate[e] > gate[best])) best = e;
    }
    marked[best] = true;
  }
}

void moe_route(const MoeRoute& arguments, Range rows) {
  alignas(64) float gate[moe_experts_max];
  bool marked[moe_experts_max];
  for (std::int32_t row = rows.first; row < rows.last; ++row) {
    softmax_gates(arguments.logits + static_cast<std::size_t>(row) * static_cast<std::size_t>(arguments.experts),
                  arguments.experts, gate);
    mark_largest(gate, arguments.experts, arguments.chosen, marked);

    const std::size_t start = static_cast<std::size_t>(row) * static_cast<std::size_t>(arguments.chosen);
    std::int32_t* expert = arguments.expert + start;
    float* weight = arguments.weight + start;
    int count = 0;
    float sum = 0;
    for (int e = 0; e < arguments.experts; ++e) {
      if (!marked[e]) continue;
      expert[count] = e;
      weight[count] = gate[e];
      sum = sum + gate[e];
      ++count;
    }
    if (!arguments.normalize) continue;
    for (int c = 0; c < count; ++c) weight[c] = weight[c] / sum;
  }
}

void moe_combine(const MoeCombine& arguments, Range rows) {
  const auto dim = static_cast<std::size_t>(arguments.dim);
  for (std::int32_t row = rows.first; row < rows.last; ++row) {
    const std::size_t start = static_cast<std::size_t>(row) * static_cast<std::size_t>(arguments.chosen);
    const float* weight = arguments.weight + start;
    float* output = arguments.output + static_cast<std::size_t>(row) * dim;
    for (int d = 0; d < arguments.dim; d += lanes) {
      const int count = arguments.dim - d < lanes ? arguments.dim - d : lanes;
      const float* expert = arguments.expert_output + start * dim + d;
      F32x16 sum = F32x16::broadcast(weight[0]) * F32x16::load_first(expert, count);
      for (int c = 1; c < arguments.chosen; ++c) {
        expert += dim;
        sum = fma(F32x16::broadcast(weight[c]), F32x16::load_first(expert, count), sum);
      }
      sum.store_first(output + d, count);
    }
  }
}

}  // namespace troupe::kernels::TROUPE_TARGET

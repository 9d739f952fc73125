// The arithmetic of swiglu.hpp.

namespace troupe::kernels::TROUPE_TARGET {

TROUPE_INLINE F32x16 gated(F32x16 gate, F32x16 up) { return gate / (F32x16::broadcast(1.0F) + exp(-gate)) * up; }

void swiglu(const Swiglu& arguments, Range rows) {
  const int dim = arguments.dim;
  for (std::int32_t row = rows.first; row < rows.last; ++row) {
    const std::size_t start = static_cast<std::size_t>(row) * static_cast<std::size_t>(dim);
    const float* gate = arguments.input + 2 * start;
    const float* up = gate + dim;
    float* output = arguments.output + start;
    int d = 0;
    for (; d + lanes <= dim; d += lanes) gated(F32x16::load(gate + d), F32x16::load(up + d)).store(output + d);
    if (d < dim) {
      const int rest = dim - d;
      gated(F32x16::load_first(gate + d, rest), F32x16::load_first(up + d, rest)).store_first(output + d, rest);
    }
  }
}

}  // namespace troupe::kernels::TROUPE_TARGET

// The arithmetic of rms_norm.hpp.

namespace troupe::kernels::TROUPE_TARGET {

/// r = 1 / sqrt(sum(x^2) / dim + epsilon). Lanes past the end add 0 * 0, which changes no sum of squares.
TROUPE_INLINE float inverse_root_mean_square(const float* x, int dim, float epsilon) {
  F32x16 squares = F32x16::zero();
  int d = 0;
  for (; d + lanes <= dim; d += lanes) {
    const F32x16 value = F32x16::load(x + d);
    squares = fma(value, value, squares);
  }
  if (d < dim) {
    const F32x16 value = F32x16::load_first(x + d, dim - d);
    squares = fma(value, value, squares);
  }
  const float mean = tree_sum(squares) / static_cast<float>(dim);
  return (F32x16::broadcast(1.0F) / sqrt(F32x16::broadcast(mean + epsilon))).first();
}

/// output = (x * r) * weight; the output may be x.
TROUPE_INLINE void scale_by_norm(const float* x, float r, const float* weight, float* output, int dim) {
  const F32x16 scale = F32x16::broadcast(r);
  int d = 0;
  for (; d + lanes <= dim; d += lanes) ((F32x16::load(x + d) * scale) * F32x16::load(weight + d)).store(output + d);
  if (d < dim) {
    const int rest = dim - d;
    ((F32x16::load_first(x + d, rest) * scale) * F32x16::load_first(weight + d, rest)).store_first(output + d, rest);
  }
}

TROUPE_INLINE void add_to(float* x, const float* addend, int dim) {
  int d = 0;
  for (; d + lanes <= dim; d += lanes) (F32x16::load(x + d) + F32x16::load(addend + d)).store(x + d);
  if (d < dim) {
    const int rest = dim - d;
    (F32x16::load_first(x + d, rest) + F32x16::load_first(addend + d, rest)).store_first(x + d, rest);
  }
}

void rms_norm(const RmsNorm& arguments, Range rows) {
  const int dim = arguments.dim;
  for (std::int32_t row = rows.first; row < rows.last; ++row) {
    const std::size_t start = static_cast<std::size_t>(row) * static_cast<std::size_t>(dim);
    float* x = arguments.x + start;
    if (arguments.addend != nullptr) add_to(x, arguments.addend + start, dim);
    const float r = inverse_root_mean_square(x, dim, arguments.epsilon);
    scale_by_norm(x, r, arguments.weight, arguments.output + start, dim);
  }
}

}  // namespace troupe::kernels::TROUPE_TARGET

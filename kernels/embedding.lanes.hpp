// The arithmetic of embedding.hpp: widening only.

namespace troupe::kernels::TROUPE_TARGET {

void embedding(const Embedding& arguments, Range rows) {
  const auto dim = static_cast<std::size_t>(arguments.table.inputs);
  for (std::int32_t row = rows.first; row < rows.last; ++row) {
    const auto token = static_cast<std::size_t>(arguments.tokens[row]);
    const bf16* column = arguments.table.data + token / panel_outputs * dim * panel_outputs + token % panel_outputs;
    float* output = arguments.output + static_cast<std::size_t>(row) * dim;
    for (std::size_t d = 0; d < dim; ++d) {
      output[d] = __builtin_bit_cast(float, std::uint32_t{column[d * panel_outputs].bits} << 16);
    }
  }
}

}  // namespace troupe::kernels::TROUPE_TARGET

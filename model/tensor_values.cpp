#include "model/tensor_values.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/check.hpp"

namespace troupe::model {

using kernels::bf16;

namespace {

// Tensors may stand at any address, so their elements are copied out instead of pointed at.
template <class T>
T element(const TensorView& tensor, std::size_t index) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

float float32_element(const TensorView& tensor, std::size_t index) {
  switch (tensor.dtype) {
    case DType::bf16: return kernels::widen(element<bf16>(tensor, index));
    case DType::f16: return widen_half(element<std::uint16_t>(tensor, index));
    case DType::f32: return element<float>(tensor, index);
    default: TROUPE_CHECK(false, "the type was checked when the checkpoint was"); return 0;
  }
}

// Nine digits tell every float from its neighbours.
std::string exact_text(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
  return text;
}

Error not_finite(std::string_view name, std::size_t element, float value) {
  return Error{ErrorCode::corrupt, "tensor \"" + std::string(name) + "\": its element " + std::to_string(element) + " is " +
                                       exact_text(value) +
                                       ", expected finite numbers; the file is damaged, or what wrote it has gone wrong"};
}

}  // namespace

Result<void> check_weight_type(const TensorView& tensor, std::string_view name) {
  if (tensor.dtype == DType::bf16 || tensor.dtype == DType::f16 || tensor.dtype == DType::f32) return {};
  return Error{ErrorCode::unsupported,
               "tensor \"" + std::string(name) + "\" is " + describe(tensor) + ", expected a dtype of BF16, F16 or F32"};
}

Result<std::span<const bf16>> bf16_values(const TensorView& tensor, std::string_view name, std::size_t first, std::size_t count,
                                          std::vector<bf16>& scratch) {
  TROUPE_CHECK(count <= static_cast<std::size_t>(tensor.elements()) && first <= tensor.elements() - count,
               "the elements are in the tensor");
  const std::byte* source = tensor.bytes.data() + first * element_bytes(tensor.dtype);
  if (tensor.dtype == DType::bf16) {
    if (reinterpret_cast<std::uintptr_t>(source) % alignof(bf16) == 0) {
      return std::span(reinterpret_cast<const bf16*>(source), count);
    }
    scratch.resize(count);
    std::memcpy(scratch.data(), source, count * sizeof(bf16));
    return std::span<const bf16>(scratch);
  }
  scratch.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float value = float32_element(tensor, first + i);
    scratch[i] = kernels::narrow(value);
    const float back = kernels::widen(scratch[i]);
    if (std::isnan(value)) return not_finite(name, first + i, value);
    if (std::bit_cast<std::uint32_t>(back) != std::bit_cast<std::uint32_t>(value)) {
      return Error{ErrorCode::unsupported, "tensor \"" + std::string(name) + "\" is " + describe(tensor) + " and its element " +
                                               std::to_string(first + i) + " is " + exact_text(value) +
                                               ", which no bfloat16 equals; save the model in bfloat16 (in transformers: " +
                                               "model.to(torch.bfloat16).save_pretrained(...))"};
    }
  }
  return std::span<const bf16>(scratch);
}

Result<void> check_finite(std::span<const bf16> values, std::string_view name, std::size_t first) {
  // What has all bits of the exponent set carries into the sign's place. Four values at a time, without a branch: this is in
  // the way of every byte that is loaded.
  constexpr std::uint64_t each = 0x0001'0001'0001'0001;
  constexpr std::uint64_t sign = each * 0x8000;
  constexpr std::uint64_t least_exponent_bit = each * 0x0080;
  std::uint64_t carried = 0;
  for (std::size_t i = 0; i < values.size(); i += 4) {
    std::uint64_t four = 0;
    if (i + 4 <= values.size()) {
      std::memcpy(&four, &values[i], sizeof(four));
    } else {
      std::memcpy(&four, &values[i], (values.size() - i) * sizeof(bf16));
    }
    carried |= (four & ~sign) + least_exponent_bit;
  }
  if ((carried & sign) == 0) return {};
  const auto wrong = std::ranges::find_if(values, [](bf16 value) { return !std::isfinite(kernels::widen(value)); });
  return not_finite(name, first + static_cast<std::size_t>(wrong - values.begin()), kernels::widen(*wrong));
}

Result<void> check_finite(std::span<const float> values, std::string_view name) {
  const auto wrong = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (wrong == values.end()) return {};
  return not_finite(name, static_cast<std::size_t>(wrong - values.begin()), *wrong);
}

void read_float32(const TensorView& tensor, float* target) {
  const auto count = static_cast<std::size_t>(tensor.elements());
  for (std::size_t i = 0; i < count; ++i) target[i] = float32_element(tensor, i);
}

float widen_half(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31;
  const std::uint32_t exponent = std::uint32_t{bits} >> 10 & 0x1FU;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {  // zero, or a denormal: fraction x 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t widened = exponent == 0x1F ? 0xFFU : exponent + 127 - 15;
  return std::bit_cast<float>(sign | widened << 23 | fraction << 13);
}

}  // namespace troupe::model

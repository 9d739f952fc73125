// What must hold whatever bytes a door is given: either an error that says something, or a value that keeps its promises.
// Shared by the libFuzzer targets beside this file and by the tests that replay their corpora and tests/regressions.
#pragma once

#include <span>
#include <string_view>

#include "base/check.hpp"
#include "model/config.hpp"
#include "model/safetensors.hpp"

namespace troupe::tests {

inline void check_error(const Error& error) {
  TROUPE_CHECK(error.message.starts_with("input"), "an error names the file");
  TROUPE_CHECK(error.message.size() < 4096, "an error is short enough to read");
}

/// The tensors lie in the file, are as long as their shapes say, and cover the data once.
inline void check_safetensors(std::span<const std::byte> bytes) {
  const auto table = model::TensorTable::parse(bytes, "input");
  if (!table) return check_error(table.error());
  std::size_t covered = 0;
  unsigned sum = 0;
  for (const auto name : table->names()) {
    const auto tensor = table->find(name);
    TROUPE_CHECK(tensor.has_value(), "a listed tensor is found");
    std::size_t elements = 1;
    for (const auto size : tensor->shape) elements *= static_cast<std::size_t>(size);
    TROUPE_CHECK(elements * model::element_bytes(tensor->dtype) == tensor->bytes.size(), "a tensor has the size of its shape");
    for (const std::byte byte : tensor->bytes) sum += std::to_integer<unsigned>(byte);  // a sanitizer sees reads outside
    covered += tensor->bytes.size();
  }
  TROUPE_CHECK(covered <= bytes.size() && sum <= 255 * covered, "the tensors fit into the file");
}

/// The shapes fit each other and no size overflows.
inline void check_config(std::string_view text) {
  const auto end_tokens = model::parse_generation_config(text, "input", 4096);
  if (!end_tokens) check_error(end_tokens.error());
  const auto config = model::parse_config(text, "input");
  if (!config) return check_error(config.error());
  TROUPE_CHECK(config->hidden > 0 && config->hidden % 16 == 0 && config->head_dim % 16 == 0, "widths are whole vectors");
  TROUPE_CHECK(config->heads % config->kv_heads == 0, "query heads are shared out evenly");
  TROUPE_CHECK(config->qkv_width() >= 3 * 16 && config->kv_layout(kernels::DeviceKind::cpu).block_bytes() > 0,
               "widths are positive");
  const auto count = model::count_parameters(*config);
  TROUPE_CHECK(0 < count.active && count.active <= count.total, "active parameters are among all");
  for (const auto token : config->end_tokens) TROUPE_CHECK(0 <= token && token < config->vocabulary, "end tokens exist");
  if (config->moe) {
    TROUPE_CHECK(config->moe->experts_per_token <= config->moe->experts, "there are as many experts as a token wants");
    for (const auto layer : config->moe->dense_layers)
      TROUPE_CHECK(layer < config->layers && !config->is_sparse(layer), "layers exist");
  }
}

}  // namespace troupe::tests

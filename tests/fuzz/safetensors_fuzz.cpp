#include "tests/fuzz/properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  troupe::tests::check_safetensors(std::as_bytes(std::span(data, size)));
  return 0;
}

#include "tests/fuzz/properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  troupe::tests::check_config({reinterpret_cast<const char*>(data), size});
  return 0;
}

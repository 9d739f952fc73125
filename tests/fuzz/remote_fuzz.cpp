#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/remote_properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  troupe::tests::check_remote_answer({reinterpret_cast<const char*>(data), size});
  return 0;
}

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/question_set_properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  troupe::tests::check_question_sets({reinterpret_cast<const char*>(data), size});
  return 0;
}

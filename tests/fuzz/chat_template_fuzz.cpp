#include "tests/fuzz/text_properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  troupe::tests::check_chat_template({reinterpret_cast<const char*>(data), size});
  return 0;
}

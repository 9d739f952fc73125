#include "tests/support/temporary_folder.hpp"

#include <stdlib.h>

#include <string>

#include "base/check.hpp"

namespace troupe::tests {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "troupe-test-XXXXXX").string();
  TROUPE_CHECK(::mkdtemp(pattern.data()) != nullptr, "a test can make a temporary folder");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // what is left behind is the system's to clean
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace troupe::tests

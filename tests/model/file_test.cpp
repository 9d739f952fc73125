#include "model/file.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/support/temporary_folder.hpp"

namespace troupe::model {
namespace {

class File : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& bytes) {
    const auto path = folder.path() / "file";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  tests::TemporaryFolder folder;
};

TEST_F(File, IsReadWhole) {
  for (const std::size_t size : {0U, 1U, 65535U, 65536U, 65537U, 300000U}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 >> 3);
    EXPECT_EQ(read_file(write(bytes), size).value(), bytes);
  }
}

TEST_F(File, LargerThanTheLimitIsRefused) {
  const auto error = read_file(write("0123456789"), 9).error();
  EXPECT_EQ(error.code, ErrorCode::too_large);
  EXPECT_TRUE(error.message.ends_with("file: 10 bytes, at most 9 are read")) << error.message;
}

TEST_F(File, ThatNeverEndsIsReadUpToTheLimit) { EXPECT_EQ(read_file("/dev/zero", 100000).error().code, ErrorCode::too_large); }

TEST_F(File, ThatIsMissingOrAFolderIsSaidToBe) {
  const auto missing = read_file(folder.path() / "none", 10).error();
  EXPECT_EQ(missing.code, ErrorCode::not_found);
  EXPECT_TRUE(missing.message.ends_with("none: cannot open: No such file or directory")) << missing.message;
  EXPECT_TRUE(read_file(folder.path(), 10).error().message.ends_with(": is a directory, expected a file"));
}

}  // namespace
}  // namespace troupe::model

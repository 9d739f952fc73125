#include "remote/key_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "tests/support/temporary_folder.hpp"

namespace troupe::remote {
namespace {

class KeyFile : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& text, mode_t mode = 0600) {
    const auto file = folder_.path() / "key";
    std::ofstream(file) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  void expect_refused(const std::filesystem::path& file, ErrorCode code, const std::string& words) {
    const auto key = read_key(file);
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, code) << key.error().message;
    EXPECT_NE(key.error().message.find(words), std::string::npos) << key.error().message;
    EXPECT_EQ(key.error().message.find("sk-"), std::string::npos) << "a key is never repeated: " << key.error().message;
  }
  tests::TemporaryFolder folder_;
};

TEST_F(KeyFile, HoldsOneLine) {
  EXPECT_EQ(*read_key(write("sk-123")), "sk-123");
  EXPECT_EQ(*read_key(write("sk-123\r\n")), "sk-123");
  EXPECT_EQ(*read_key(write("sk-123\n", 0400)), "sk-123");
}

TEST_F(KeyFile, IsRefusedIfOthersMayReadIt) {
  for (const mode_t mode : {0640, 0604, 0644, 0660}) {
    expect_refused(write("sk-123", mode), ErrorCode::invalid_argument, "chmod 600");
  }
}

TEST_F(KeyFile, IsRefusedIfItIsNoKey) {
  expect_refused(write(""), ErrorCode::invalid_argument, "one line");
  expect_refused(write("\n\n"), ErrorCode::invalid_argument, "one line");
  expect_refused(write("sk-1\nsk-2\n"), ErrorCode::invalid_argument, "one line");
  expect_refused(write("sk-1 2"), ErrorCode::invalid_argument, "one line");
  expect_refused(write("sk-\x01"), ErrorCode::invalid_argument, "one line");
  expect_refused(write(std::string(5000, 'k')), ErrorCode::invalid_argument, "4096 bytes");
  expect_refused(folder_.path() / "nothing", ErrorCode::not_found, "nothing");
  expect_refused(folder_.path(), ErrorCode::invalid_argument, "no ordinary file");
  const auto pipe = folder_.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  expect_refused(pipe, ErrorCode::invalid_argument, "no ordinary file");
}

TEST(Key, IsTakenOutOfTexts) {
  EXPECT_EQ(without_key("bad key sk-1, yes sk-1", "sk-1"), "bad key [key], yes [key]");
  EXPECT_EQ(without_key("nothing", ""), "nothing");
}

}  // namespace
}  // namespace troupe::remote

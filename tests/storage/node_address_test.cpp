#include "storage/node_address.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_folder.hpp"

namespace troupe::storage {
namespace {

TEST(NodeAddresses, AreThereUntilTheyAreForgotten) {
  const tests::TemporaryFolder folder;
  EXPECT_FALSE(read_address(folder.path()));
  forget_address(folder.path());
  ASSERT_TRUE(write_address(folder.path(), {{"one"}, "127.0.0.1:7400"}));
  EXPECT_EQ(read_address(folder.path()), (NodeAddress{{"one"}, "127.0.0.1:7400"}));
  ASSERT_TRUE(write_address(folder.path(), {{"one"}, "[::1]:7"}));
  EXPECT_EQ(read_address(folder.path())->clients, "[::1]:7");
  forget_address(folder.path());
  EXPECT_FALSE(read_address(folder.path()));
  EXPECT_EQ(write_address(folder.path() / "nowhere", {{"one"}, "127.0.0.1:7400"}).error().code, ErrorCode::io);
}

TEST(NodeAddresses, ThatAreDamagedAreNone) {
  const tests::TemporaryFolder folder;
  for (const std::string& text : {std::string(), std::string("one"), std::string("one\n"), std::string("\n127.0.0.1:1\n"),
                                  std::string("one\n\n"), std::string("one\n127.0.0.1:1\nmore\n"), std::string(5000, 'x')}) {
    std::ofstream(folder.path() / "address") << text;
    EXPECT_FALSE(read_address(folder.path())) << text.substr(0, 40);
  }
}

}  // namespace
}  // namespace troupe::storage

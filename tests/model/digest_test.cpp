#include "model/digest.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe::model {
namespace {

std::string hex_of(std::string_view text) { return to_hex(sha256(std::as_bytes(std::span(text)))); }

// The examples of FIPS 180-4.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(hex_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex_of(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  const std::string text(1000, 'x');
  Sha256 hash;
  for (std::size_t step = 1, at = 0; at < text.size(); at += step++) {
    hash.update(std::as_bytes(std::span(text).subspan(at, std::min(step, text.size() - at))));
  }
  EXPECT_EQ(to_hex(hash.finish()), hex_of(text));
}

TEST(Sha256, StartsAgainAfterFinishing) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(std::string_view("something"))));
  hash.finish();
  EXPECT_EQ(to_hex(hash.finish()), hex_of(""));
}

TEST(Sha256, AddsNumbersInLittleEndianAndTextsWithTheirLength) {
  Sha256 hash;
  hash.add_u32(0x04030201);
  hash.add_u64(0x0C0B0A0908070605);
  hash.add_text("ab");
  EXPECT_EQ(to_hex(hash.finish()), hex_of(std::string_view("\1\2\3\4\5\6\7\x8\x9\xA\xB\xC\2\0\0\0\0\0\0\0ab", 22)));
}

TEST(Sha256, TellsListsOfTextsApart) {
  Sha256 hash;
  hash.add_text("ab");
  hash.add_text("c");
  const auto first = hash.finish();
  hash.add_text("a");
  hash.add_text("bc");
  EXPECT_NE(hash.finish(), first);
}

}  // namespace
}  // namespace troupe::model

#include "model/digest.hpp"

#include <openssl/evp.h>

#include "base/check.hpp"

namespace troupe::model {

namespace {

EVP_MD_CTX* context_of(const auto& owner) { return static_cast<EVP_MD_CTX*>(owner.get()); }

// libcrypto refuses only if memory is short or its configuration forbids SHA-256: nothing that a caller could handle.
void must(int status) { TROUPE_CHECK(status == 1, "libcrypto computes SHA-256"); }

template <class Integer>
std::array<std::byte, sizeof(Integer)> little_endian(Integer value) {
  std::array<std::byte, sizeof(Integer)> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
  return bytes;
}

}  // namespace

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

void Sha256::Free::operator()(void* context) const { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context)); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  TROUPE_CHECK(context_ != nullptr, "there is memory for a hash");
  must(EVP_DigestInit_ex(context_of(context_), EVP_sha256(), nullptr));
}

void Sha256::update(std::span<const std::byte> bytes) {
  must(EVP_DigestUpdate(context_of(context_), bytes.data(), bytes.size()));
}

void Sha256::add_u32(std::uint32_t value) { update(little_endian(value)); }
void Sha256::add_u64(std::uint64_t value) { update(little_endian(value)); }

void Sha256::add_text(std::string_view text) {
  add_u64(text.size());
  update(std::as_bytes(std::span(text)));
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest{};
  must(EVP_DigestFinal_ex(context_of(context_), digest.data(), nullptr));
  must(EVP_DigestInit_ex(context_of(context_), nullptr, nullptr));  // the same algorithm again, without looking it up
  return digest;
}

Sha256Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace troupe::model

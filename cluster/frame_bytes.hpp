// How frames become bytes and back: little-endian numbers, names and counted bytes. Whoever reads checks `done`.
#pragma once

#include <bit>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/name.hpp"

namespace troupe::cluster {

static_assert(std::endian::native == std::endian::little, "frames are little-endian; swap them here");

class FrameWriter {
 public:
  template <class Number>
  void number(Number value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void bytes(std::string_view bytes) { text_.append(bytes); }
  template <class Tag>
  void name(const Name128<Tag>& name) {
    text_.append(reinterpret_cast<const char*>(name.bytes.data()), name.bytes.size());
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// Reads what is there; what is not reads as zero, and `fine` says so.
class FrameReader {
 public:
  explicit FrameReader(std::string_view text) : text_(text) {}
  template <class Number>
  Number number() {
    Number value{};
    take(&value, sizeof(value));
    return value;
  }
  template <class Name>
  Name name() {
    Name name;
    take(name.bytes.data(), name.bytes.size());
    return name;
  }
  std::string bytes(std::size_t count) {
    std::string bytes(count <= text_.size() ? count : 0, '\0');
    fine_ = fine_ && count <= text_.size();
    take(bytes.data(), bytes.size());
    return bytes;
  }
  std::size_t left() const { return text_.size(); }
  bool fine() const { return fine_; }
  bool done() const { return fine_ && text_.empty(); }

 private:
  void take(void* to, std::size_t count) {
    fine_ = fine_ && count <= text_.size();
    if (!fine_ || count == 0) return;
    std::memcpy(to, text_.data(), count);
    text_.remove_prefix(count);
  }
  std::string_view text_;
  bool fine_ = true;
};

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace troupe::cluster

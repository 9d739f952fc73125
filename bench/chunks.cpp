#include "bench/chunks.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/check.hpp"

namespace troupe::bench {

namespace {

std::string_view document_of(const storage::Section& section) {
  return std::string_view(section.key).substr(0, section.key.find('#'));
}

/// "Records Policy (2024-02-15)" of "Records Policy (2024-02-15) §3.2", "Notes" of "Notes: Last words".
std::string title_of(const storage::Section& section) {
  const std::size_t end = std::min(section.name.find(" §"), section.name.find(": "));
  return section.name.substr(0, end);
}

/// The end of the word that `at` is in.
std::size_t word_end(std::string_view text, std::size_t at) { return std::min(text.find(' ', at), text.size()); }

void cut(std::string_view text, std::string_view document, const std::string& title, const ChunkSize& size,
         std::vector<storage::Section>& chunks) {
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = begin + size.bytes >= text.size() ? text.size() : word_end(text, begin + size.bytes);
    chunks.push_back(
        {std::string(document) + "~" + std::to_string(++number), title, std::string(text.substr(begin, end - begin))});
    if (end == text.size()) return;
    begin = std::min(word_end(text, end - size.overlap) + 1, end);
  }
}

}  // namespace

std::vector<storage::Section> overlapping_chunks(std::span<const storage::Section> sections, const ChunkSize& size) {
  TROUPE_CHECK(size.overlap < size.bytes, "chunks overlap by less than themselves");
  std::vector<storage::Section> chunks;
  for (std::size_t first = 0; first < sections.size();) {
    const std::string_view document = document_of(sections[first]);
    std::string text;
    std::size_t next = first;
    for (; next < sections.size() && document_of(sections[next]) == document; ++next) {
      const storage::Section& section = sections[next];
      if (!text.empty()) text += ' ';
      if (!section.heading.empty()) text += section.heading + ". ";
      text += section.text;
    }
    cut(text, document, title_of(sections[first]), size, chunks);
    first = next;
  }
  return chunks;
}

}  // namespace troupe::bench

#include "policy/form.hpp"

#include <algorithm>
#include <array>

#include "policy/citation.hpp"
#include "policy/terms.hpp"
#include "policy/utf8.hpp"

namespace troupe::policy {

namespace {

unsigned byte_at(std::string_view text, std::size_t place) { return static_cast<unsigned char>(text[place]); }

std::optional<std::string> not_text(std::string_view text) {
  constexpr std::string_view replacement = "\xef\xbf\xbd";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = character_bytes(text, at);
    if (bytes == 0 || text.substr(at, bytes) == replacement)
      return "has bytes that are no text, from byte " + std::to_string(at);
    const bool control = byte_at(text, at) < 0x20U || byte_at(text, at) == 0x7fU;
    if (control && std::string_view("\t\n\r").find(text[at]) == std::string_view::npos) {
      return "has a control character, at byte " + std::to_string(at);
    }
    at += bytes;
  }
  return std::nullopt;
}

std::optional<std::string> loop_in(std::string_view text) {
  constexpr std::size_t times_min = 4;
  constexpr std::size_t shown_max = 40;
  for (std::size_t period = 1; period <= loop_period_max && period < text.size(); ++period) {
    std::size_t end = text.size();
    while (end > period && text[end - 1] == text[end - 1 - period]) --end;
    // What stands behind `end` repeats what stands one period before.
    const std::size_t bytes = text.size() - end + period;
    if (bytes < loop_bytes_min || bytes / period < times_min) continue;
    const std::string_view piece = trimmed(beginning_of(trimmed(text.substr(end - period, period)), shown_max));
    return "says \"" + std::string(piece) + "\" " + std::to_string(bytes / period) + " times over";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> malformed_text(std::string_view text) {
  if (trimmed(text).empty()) return "is empty";
  if (auto wrong = not_text(text)) return wrong;
  return loop_in(text);
}

std::optional<std::string> malformed_summary(std::string_view reply, std::size_t source_bytes) {
  if (auto wrong = malformed_text(reply)) return wrong;
  const std::size_t bytes = summary_of(reply).size();
  if (bytes <= source_bytes) return std::nullopt;
  return "has " + std::to_string(bytes) + " bytes, more than the " + std::to_string(source_bytes) + " that it sums up";
}

std::string_view whole_sentences(std::string_view text) {
  constexpr std::string_view ends = ".!?;";
  for (std::size_t end = text.size(); end > text.size() / 2; --end) {
    const bool line = text[end - 1] == '\n';
    const bool sentence = ends.find(text[end - 1]) != std::string_view::npos &&
                          (end == text.size() || std::string_view(" \t\r\n").find(text[end]) != std::string_view::npos);
    if (line || sentence) return trimmed(text.substr(0, end));
  }
  return text;
}

std::string_view beginning_of(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  const std::string_view kept = first_bytes(text, bytes_max);
  const std::size_t space = kept.find_last_of(" \t\r\n");
  return space == std::string_view::npos || space == 0 ? kept : kept.substr(0, space);
}

}  // namespace troupe::policy

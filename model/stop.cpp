#include "model/stop.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "model/utf8.hpp"

namespace troupe::model {

namespace {

Error too_many(std::string_view what, std::size_t count, std::size_t limit) {
  return Error{ErrorCode::too_large,
               std::to_string(count) + " " + std::string(what) + ", expected at most " + std::to_string(limit)};
}

}  // namespace

bool StopConditions::stops_at(TokenId token) const { return std::find(tokens.begin(), tokens.end(), token) != tokens.end(); }

Result<void> validate(const StopConditions& conditions, std::int32_t vocabulary) {
  if (conditions.tokens.size() > stop_tokens_max) return too_many("stop tokens", conditions.tokens.size(), stop_tokens_max);
  for (const TokenId token : conditions.tokens) {
    if (token < 0 || token >= vocabulary) {
      return Error{ErrorCode::out_of_range, "stop token " + std::to_string(token) +
                                                " is not in the vocabulary, expected 0 to " + std::to_string(vocabulary - 1)};
    }
  }
  if (conditions.strings.size() > stop_strings_max)
    return too_many("stop strings", conditions.strings.size(), stop_strings_max);
  for (std::size_t i = 0; i < conditions.strings.size(); ++i) {
    const std::string& text = conditions.strings[i];
    const std::string name = "stop string " + std::to_string(i);
    if (text.empty()) return Error{ErrorCode::invalid_argument, name + " is empty, expected at least one character"};
    if (text.size() > stop_string_bytes_max) return too_many("bytes in " + name, text.size(), stop_string_bytes_max);
    if (const auto offset = find_invalid_utf8(text)) {
      return Error{ErrorCode::invalid_argument,
                   name + " is not UTF-8 from its byte " + std::to_string(*offset) + " on, so no text could contain it"};
    }
  }
  return {};
}

StopMatcher::Pattern::Pattern(std::string stop_string) : text(std::move(stop_string)), fallback(text.size(), 0) {
  std::size_t length = 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    while (length > 0 && text[i] != text[length]) length = fallback[length - 1];
    if (text[i] == text[length]) ++length;
    fallback[i] = static_cast<std::uint16_t>(length);
  }
}

bool StopMatcher::Pattern::advance(char byte) {
  while (matched > 0 && byte != text[matched]) matched = fallback[matched - 1];
  if (byte == text[matched]) ++matched;
  return matched == text.size();
}

StopMatcher::StopMatcher(const StopConditions& conditions) : show_stop_string_(conditions.show_stop_string) {
  for (const std::string& text : conditions.strings) {
    TROUPE_CHECK(!text.empty() && text.size() <= stop_string_bytes_max, "stop conditions are validated where they come in");
    patterns_.emplace_back(text);
  }
}

void StopMatcher::advance(char byte) {
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    const bool longer = !stopped() || patterns_[i].text.size() > patterns_[stopped_by_].text.size();
    if (patterns_[i].advance(byte) && longer) stopped_by_ = i;
  }
}

std::string StopMatcher::feed(std::string_view piece) {
  TROUPE_CHECK(!finished_, "nothing is fed after finish");
  if (stopped()) return {};
  std::string text = std::exchange(held_, {});
  if (patterns_.empty()) return text.append(piece);

  for (const char byte : piece) {
    text.push_back(byte);
    advance(byte);
    if (stopped()) {
      if (!show_stop_string_) text.resize(text.size() - patterns_[stopped_by_].text.size());
      return text;
    }
  }
  std::size_t held = 0;
  for (const Pattern& pattern : patterns_) held = std::max(held, pattern.matched);
  held_ = text.substr(text.size() - held);
  text.resize(text.size() - held);
  return text;
}

std::string StopMatcher::finish() {
  finished_ = true;
  return std::exchange(held_, {});
}

std::size_t StopMatcher::stopped_by() const {
  TROUPE_CHECK(stopped(), "only a stopped matcher knows what stopped it");
  return stopped_by_;
}

}  // namespace troupe::model

#include "policy/pins.hpp"

#include <algorithm>

#include "policy/prompt.hpp"
#include "policy/utf8.hpp"

namespace troupe::policy {

namespace {

Result<void> check(const Pins& pins, const std::string& text) {
  if (text.empty()) return Error{ErrorCode::invalid_argument, "a pin of nothing, expected a line of text"};
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; })) {
    return Error{ErrorCode::invalid_argument, "a pin with a line end or another control character, expected one line of text"};
  }
  if (const auto place = find_invalid_utf8(text)) {
    return Error{ErrorCode::invalid_argument, "a pin that is no UTF-8 at byte " + std::to_string(*place) +
                                                  ", expected one line of text: every prompt would fail for it"};
  }
  if (text.size() > Pins::text_bytes_max) {
    return Error{ErrorCode::too_large, "a pin of " + std::to_string(text.size()) + " bytes, expected at most " +
                                           std::to_string(Pins::text_bytes_max) + ": say it shorter, or pin its parts"};
  }
  std::size_t bytes = text.size();
  for (const std::string& each : pins.texts) bytes += each.size();
  if (pins.texts.size() >= Pins::count_max || bytes > Pins::bytes_max) {
    return Error{ErrorCode::too_large, std::to_string(pins.texts.size() + 1) + " pins of " + std::to_string(bytes) +
                                           " bytes together, expected at most " + std::to_string(Pins::count_max) + " of " +
                                           std::to_string(Pins::bytes_max) + " bytes: every prompt has them; remove one"};
  }
  return {};
}

}  // namespace

Result<Pins> changed(const Pins& pins, const PinChange& change) {
  Pins next = pins;
  const std::string text(trimmed(change.text));
  const auto found = std::ranges::find(next.texts, text);
  const bool there = found != next.texts.end();
  if (change.kind == PinChange::Kind::none || there == (change.kind == PinChange::Kind::add)) return next;
  if (change.made_for && *change.made_for != pins.version) {
    return Error{ErrorCode::cancelled, "the pins have been changed meanwhile: they are of version " +
                                           std::to_string(pins.version) + ", and this was to change version " +
                                           std::to_string(*change.made_for)};
  }
  if (there) {
    next.texts.erase(found);
  } else {
    TROUPE_TRY_DO(check(pins, text));
    next.texts.push_back(text);
  }
  ++next.version;
  return next;
}

std::string with_pins(const Pins& pins, const std::string& summary) {
  if (pins.texts.empty()) return summary;
  std::string text = "Pinned: ";
  for (const std::string& pin : pins.texts) text += (&pin == pins.texts.data() ? "" : "; ") + pin;
  return summary.empty() ? text : text + '\n' + summary;
}

}  // namespace troupe::policy

#include "policy/fault.hpp"

#include <charconv>
#include <optional>

namespace troupe::policy {

namespace {

constexpr std::string_view expected =
    "expected TIER=slow:MILLISECONDS, TIER=stuck, TIER=rubbish or TIER=dead, and then, if it is not to begin at once, "
    ",after:REQUESTS; as in mini=slow:500 or heavy=stuck,after:10";

template <class Number>
std::optional<Number> number_of(std::string_view text, Number low, Number high) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) return std::nullopt;
  return value;
}

std::optional<Fault> kind_of_fault(std::string_view text) {
  Fault fault;
  for (const auto kind : {Fault::Kind::stuck, Fault::Kind::rubbish, Fault::Kind::dead}) {
    fault.kind = kind;
    if (text == to_string(kind)) return fault;
  }
  constexpr std::string_view slow = "slow:";
  if (!text.starts_with(slow)) return std::nullopt;
  const auto delay = number_of<std::int64_t>(text.substr(slow.size()), 1, Fault::delay_limit_ms);
  if (!delay) return std::nullopt;
  fault.kind = Fault::Kind::slow;
  fault.delay_ms = *delay;
  return fault;
}

}  // namespace

std::string_view to_string(Fault::Kind kind) {
  switch (kind) {
    case Fault::Kind::slow: return "slow";
    case Fault::Kind::stuck: return "stuck";
    case Fault::Kind::rubbish: return "rubbish";
    case Fault::Kind::dead: return "dead";
  }
  return "unknown";
}

std::string to_string(const Fault& fault) {
  std::string text(to_string(fault.kind));
  if (fault.kind == Fault::Kind::slow) text += ":" + std::to_string(fault.delay_ms);
  if (fault.after > 0) text += ",after:" + std::to_string(fault.after);
  return text;
}

Result<TierFault> fault_of(std::string_view text) {
  const Error wrong{ErrorCode::invalid_argument, "fault \"" + std::string(text.substr(0, 80)) + "\": " + std::string(expected)};
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return wrong;
  const auto tier = tier_of(text.substr(0, equals));
  std::string_view rest = text.substr(equals + 1);
  std::uint64_t after = 0;
  constexpr std::string_view begins = ",after:";
  if (const std::size_t at = rest.find(begins); at != std::string_view::npos) {
    const auto number = number_of<std::uint64_t>(rest.substr(at + begins.size()), 0, Fault::after_limit);
    if (!number) return wrong;
    after = *number;
    rest = rest.substr(0, at);
  }
  auto fault = kind_of_fault(rest);
  if (!tier || !fault) return wrong;
  fault->after = after;
  return TierFault{*tier, *fault};
}

}  // namespace troupe::policy

// What follows on an attempt that has ended: whether its answer stands, who is asked next, and what is said when nobody is
// sure.
#include <algorithm>

#include "policy/citation.hpp"
#include "policy/early_stop.hpp"
#include "policy/routing.hpp"
#include "policy/routing_rule.hpp"
#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

/// The tier after `tier` on the ladder.
std::optional<Tier> next_on(const std::vector<Rung>& ladder, Tier tier) {
  const auto at = std::find_if(ladder.begin(), ladder.end(), [tier](const Rung& rung) { return rung.tier == tier; });
  if (at == ladder.end() || at + 1 == ladder.end()) return std::nullopt;
  return (at + 1)->tier;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string reduced(std::string_view text) {
  const std::string plain = without_citations(text);
  std::string made;
  for (const char c : plain) {
    if (is_space(c)) {
      if (!made.empty() && made.back() != ' ') made += ' ';
    } else {
      made += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
  }
  while (!made.empty() && std::string_view(" .,;:!?").find(made.back()) != std::string_view::npos) made.pop_back();
  return made;
}

/// The beginning of a text, up to the end of a sentence if one ends in time, and never within a character.
std::string_view first_sentences(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  const std::string_view kept = text.substr(0, bytes_max);
  for (std::size_t end = kept.size(); end > kept.size() / 2; --end) {
    if ((kept[end - 1] == '.' || kept[end - 1] == '!' || kept[end - 1] == '?') && is_space(text[end]))
      return kept.substr(0, end);
  }
  return first_bytes(text, bytes_max);
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

double Calibration::of(double raw) const {
  if (points.empty() || !(raw >= 0)) return raw;
  Point before;
  for (const Point& point : points) {
    if (raw <= point.raw) {
      const double width = point.raw - before.raw;
      return width > 0 ? before.right + (point.right - before.right) * ((raw - before.raw) / width) : point.right;
    }
    before = point;
  }
  return points.back().right;
}

Decision after_attempt(const RouteDecision& route, const AttemptPlan& plan, double confidence, std::string_view finish_reason,
                       const std::string& failed_check, bool agrees, bool uncited) {
  using Verdict = Decision::Verdict;
  const std::string tier(to_string(plan.tier));
  const auto next = next_on(route.ladder, plan.tier);
  const auto escalate = [&](const std::string& why) {
    return Decision{Verdict::escalate, false, next, why + "; " + std::string(to_string(*next)) + " follows"};
  };
  if (finish_reason == "cancelled" || finish_reason == "deadline_exceeded") {
    return {Verdict::fail, false, std::nullopt, "the answer of " + tier + " ended: " + std::string(finish_reason)};
  }
  if (finish_reason == unsure_reason) {
    const std::string stopped = tier + " could no longer reach " + shown(plan.confidence_min);
    if (next) return escalate(stopped);
    return {Verdict::fail, false, std::nullopt, stopped + ", and no stronger tier is left"};
  }
  const bool cut_short = finish_reason == "length";
  if (!cut_short && finish_reason != "end_token" && finish_reason != "stop_token" && finish_reason != "stop_string") {
    if (next) return escalate(tier + " failed");
    return {Verdict::fail, false, std::nullopt, tier + " failed, and no stronger tier is left"};
  }
  const double least = uncited ? std::max(plan.confidence_min, plan.uncited_min) : plan.confidence_min;
  const bool sure = failed_check.empty() && confidence >= least;  // not if it is no number
  // With all its digits only where fewer would look like the threshold.
  const std::string about = rounded(confidence);
  const std::string seen = "confidence " + (about == shown(least) ? shown(confidence) : about) + " of " + tier;
  if (sure && !cut_short) {
    return {Verdict::commit, true, std::nullopt, seen + " reaches " + shown(least)};
  }
  const std::string short_of =
      sure ? "the answer of " + tier + " was cut short after " + std::to_string(plan.tokens_max) + " tokens"
      : failed_check.empty()
          ? seen + " is below " + shown(least) + (least > plan.confidence_min ? ", and it cites nothing" : "")
          : failed_check + " (" + seen + ")";
  if (!plan.held_back) return {Verdict::commit, false, std::nullopt, short_of + "; it has been shown and stays"};
  if (plan.second_opinion && agrees && failed_check.empty() && !cut_short) {
    return {Verdict::commit, true, std::nullopt, short_of + ", but as a second opinion it says the same as the answer before"};
  }
  if (!next) return {Verdict::commit, false, std::nullopt, short_of + ", and no stronger tier is left"};
  return escalate(short_of);
}

bool same_answer(std::string_view one, std::string_view other) {
  const std::string reduced_one = reduced(one);
  return !reduced_one.empty() && reduced_one == reduced(other);
}

std::optional<std::string> quote_of(const RoutingPolicy& policy, std::string_view quoted) {
  constexpr std::size_t quote_bytes_max = 400;
  const std::string_view quote = trimmed(first_sentences(trimmed(quoted), quote_bytes_max));
  if (policy.when_unsure.empty() || quote.empty()) return std::nullopt;
  // The quote last, since it may itself say "{source}".
  std::string text = policy.when_unsure;
  replace_all(text, "{source}", "[1]");
  replace_all(text, "{quote}", quote);
  return text;
}

}  // namespace troupe::policy

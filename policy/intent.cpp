#include "policy/intent.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "policy/form.hpp"
#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

constexpr std::string_view bundled_prompt =
    "You name the kind of request: lookup, compare, multi_step, chat, summarize, follow_up or out_of_scope.";

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f; }

/// What is wrong with the name of a label, as the end of a sentence; empty if nothing is.
std::string fault_of(std::string_view name) {
  if (name.empty() || name.size() > Intent::label_bytes_max) {
    return "has " + std::to_string(name.size()) + " bytes, expected 1 to " + std::to_string(Intent::label_bytes_max);
  }
  if (name == unknown_label) return "is what a question of no label is taken for; choose another name";
  if (trimmed(name) != name || std::ranges::any_of(name, is_control)) {
    return "cannot be a reply: it has white space at an end, or a control character";
  }
  // Such a reply is refused for its form before it is compared with any label.
  if (const auto wrong = malformed_text(name)) return "cannot be a reply: it " + *wrong;
  return {};
}

}  // namespace

const IntentLabel& Intent::label(std::string_view name) const {
  const auto found = std::ranges::find(labels, name, &IntentLabel::name);
  return found == labels.end() ? unknown : *found;
}

bool Intent::knows(std::string_view name) const {
  return name == unknown_label || std::ranges::find(labels, name, &IntentLabel::name) != labels.end();
}

TakenFor Intent::read(std::string_view reply, double confidence) const {
  const std::string_view named = trimmed(reply);
  if (std::ranges::find(labels, named, &IntentLabel::name) == labels.end()) return judge(unknown_label, std::nullopt);
  return judge(named, confidence);
}

TakenFor Intent::judge(std::string_view named, std::optional<double> confidence) const {
  const double least = label(named).out_of_scope ? std::max(confidence_min, out_of_scope_confidence_min) : confidence_min;
  const bool sure = named == unknown_label || least <= 0 || (confidence && *confidence >= least);  // not if it is no number
  if (sure) return {std::string(named), {}, confidence};
  return {std::string(unknown_label), std::string(named), confidence};
}

std::int32_t Intent::reply_tokens_max() const {
  constexpr std::size_t least = 16;
  std::size_t longest = 0;
  for (const IntentLabel& each : labels) longest = std::max(longest, each.name.size());
  return static_cast<std::int32_t>(std::max(least, longest + 1));
}

std::vector<Error> check(const Intent& intent) {
  std::vector<Error> found;
  const auto out_of_range = [&found](std::string message) { found.push_back({ErrorCode::out_of_range, std::move(message)}); };
  const auto check_text = [&](const std::string& name, const std::string& text) {
    if (text.size() <= Intent::text_bytes_max) return;
    out_of_range(name + " has " + std::to_string(text.size()) + " bytes, expected at most " +
                 std::to_string(Intent::text_bytes_max));
  };
  const auto check_share = [&](const std::string& name, double value) {
    if (!(value >= 0 && value <= 1)) out_of_range(name + " is " + std::to_string(value) + ", expected 0 to 1");
  };
  if (trimmed(intent.prompt).empty()) found.push_back({ErrorCode::invalid_argument, "intent.prompt is empty, expected a text"});
  check_text("intent.prompt", intent.prompt);
  check_text("intent.out_of_scope_answer", intent.out_of_scope_answer);
  check_share("intent.confidence_min", intent.confidence_min);
  check_share("intent.out_of_scope_confidence_min", intent.out_of_scope_confidence_min);
  if (intent.labels.empty() || intent.labels.size() > Intent::labels_max) {
    found.push_back({ErrorCode::invalid_argument, "intent.labels has " + std::to_string(intent.labels.size()) +
                                                      " names, expected 1 to " + std::to_string(Intent::labels_max)});
  }
  std::set<std::string_view> names;
  for (const IntentLabel& label : intent.labels) {
    const std::string fault = !names.insert(label.name).second ? "is there twice" : fault_of(label.name);
    if (fault.empty()) continue;
    const bool long_name = label.name.size() > Intent::label_bytes_max;
    const std::string name(first_bytes(label.name, Intent::label_bytes_max));
    found.push_back({ErrorCode::invalid_argument, "the label \"" + name + (long_name ? "..." : "") + "\" of intent " + fault});
  }
  return found;
}

Intent handbook_intent() {
  constexpr bool grounded = true;
  constexpr bool follow_up = true;
  constexpr bool out_of_scope = true;
  Intent intent;
  intent.prompt = bundled_prompt;
  intent.labels = {{"lookup"},
                   {"compare"},
                   {"multi_step"},
                   {"chat", !grounded},
                   {"summarize", !grounded},
                   {"follow_up", grounded, follow_up},
                   {"out_of_scope", !grounded, !follow_up, out_of_scope}};
  intent.out_of_scope_confidence_min = 0.98;
  intent.out_of_scope_answer = "I can only help with questions about the handbook.";
  return intent;
}

std::vector<Message> classify_messages(std::string_view prompt, std::string_view question) {
  return {{"system", std::string(prompt.empty() ? bundled_prompt : prompt)}, {"user", std::string(question)}};
}

std::string names_of(const Intent& intent) {
  constexpr std::size_t shown_max = 12;
  std::string names;
  for (std::size_t i = 0; i < std::min(shown_max, intent.labels.size()); ++i) names += intent.labels[i].name + ", ";
  if (intent.labels.size() > shown_max) names += "... (" + std::to_string(intent.labels.size()) + " in all), ";
  return names + std::string(unknown_label);
}

std::optional<std::string> answer_out_of_scope(const Intent& intent, const Ask& ask, std::string_view label) {
  if (ask.assurance == Assurance::draft || ask.grounding != Grounding::automatic) return std::nullopt;
  if (intent.out_of_scope_answer.empty() || !intent.label(label).out_of_scope) return std::nullopt;
  return intent.out_of_scope_answer;
}

}  // namespace troupe::policy

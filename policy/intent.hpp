// What kinds of questions there are: how a model is asked for the kind of one, what its reply is taken for, and what follows
// from that: whether the corpus is searched, whether a question is made to stand alone first, whether a model answers at all.
// A routing policy has one of these, by default that of the bundled models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/ask.hpp"
#include "policy/portfolio.hpp"
#include "policy/prompt.hpp"

namespace troupe::policy {

/// What a question is taken for if no label is, or none surely enough. No label has this name.
inline constexpr std::string_view unknown_label = "unknown";

struct IntentLabel {
  std::string name;           ///< as the model writes it
  bool grounded = true;       ///< its questions are for the corpus, which is searched
  bool follow_up = false;     ///< before the search a question is made to stand alone by what came before it
  bool out_of_scope = false;  ///< its questions are about nothing that anybody here knows
  friend bool operator==(const IntentLabel&, const IntentLabel&) = default;
};

/// What a question was taken for.
struct TakenFor {
  std::string label;                 ///< one of the policy's, or `unknown_label`
  std::string said;                  ///< the label that the model named, if it was not sure enough of it; otherwise empty
  std::optional<double> confidence;  ///< of the label that it named; none if it named none
  friend bool operator==(const TakenFor&, const TakenFor&) = default;
};

struct Intent {
  static constexpr std::size_t labels_max = 255;
  static constexpr std::size_t label_bytes_max = 64;
  static constexpr std::size_t text_bytes_max = 4096;

  std::string prompt;  ///< the system message of whoever classifies; the question is the user's
  std::vector<IntentLabel> labels;
  /// How questions of no label are treated. With passages that do not help, the bundled models say so: they may be searched
  /// for.
  IntentLabel unknown{std::string(unknown_label)};
  /// A reply is as sure as the product of its tokens' probabilities, its end among them: as likely as the model was to say
  /// exactly this. Below this, or below the other if the label is out of scope, it is `unknown`. 0: none is.
  double confidence_min = 0;
  double out_of_scope_confidence_min = 0;
  std::optional<Tier> tier;  ///< that classifies; none: the smallest
  /// Said to a question that is out of scope, and no model is asked. Empty: it is answered like any other.
  std::string out_of_scope_answer;

  /// The label of this name; `unknown` if there is none.
  const IntentLabel& label(std::string_view name) const;
  /// Whether there is one, or it is `unknown_label`.
  bool knows(std::string_view name) const;
  /// What the reply means that a model gave with this probability. White space at either end does not count.
  TakenFor read(std::string_view reply, double confidence) const;
  /// The same for a label that was named, with its confidence if that is known.
  TakenFor judge(std::string_view named, std::optional<double> confidence) const;
  /// Enough for any label and its end: a token is a byte at least.
  std::int32_t reply_tokens_max() const;
  friend bool operator==(const Intent&, const Intent&) = default;
};

/// All that is wrong with it by itself: no prompt or no label, too many of them or too long, a label whose name is empty, is
/// there twice, is `unknown_label` or cannot be a reply (white space at an end, a control character), a number that is no
/// probability. `invalid_argument` or `out_of_range`.
std::vector<Error> check(const Intent& intent);

/// The bundled models', to the byte as they were trained (portfolio/training/chat.py). Questions out of scope are told what the
/// models themselves were taught to say to them. How sure they have to be was measured on generated questions
/// (docs/evaluation.md): what they need from the corpus is not refused.
Intent handbook_intent();

/// Asks for the kind of a question. An empty prompt, which a home of an older version sends, is the bundled models'.
std::vector<Message> classify_messages(std::string_view prompt, std::string_view question);

/// The names of all labels and `unknown_label`, for a message: many are cut short.
std::string names_of(const Intent& intent);

/// The name, in a turn's outcome, of the policy's own answer to what is out of scope.
inline constexpr std::string_view out_of_scope_rule = "out of scope";

/// What is said to a question of this label without asking a model; none if it is answered like any other. That is so of
/// drafts, which nobody has checked anyway, and where the client has decided itself whether the corpus is searched.
std::optional<std::string> answer_out_of_scope(const Intent& intent, const Ask& ask, std::string_view label);

}  // namespace troupe::policy

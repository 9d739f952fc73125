// What is kept of a turn that was drawn for a shadow: both answers side by side, or why there is only one. Plain values, as
// they are stored and as operators see them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/shadow_experiment.hpp"
#include "policy/turn.hpp"

namespace troupe::policy {

/// One of two answers to the same question.
struct ShadowAnswer {
  static constexpr std::size_t text_bytes_max = std::size_t{16} << 10;  ///< what is longer is cut
  static constexpr std::size_t why_bytes_max = std::size_t{1} << 10;    ///< of `doubt` and `failed_check`

  std::vector<Tier> tiers;             ///< that were asked, in order, one for each attempt
  std::string text;                    ///< as the model wrote it
  std::vector<std::string> citations;  ///< the sections, by number
  double confidence = 0;               ///< calibrated
  bool confident = false;              ///< it reached what its policy asks
  std::string doubt;                   ///< why it is not confident; empty if it is
  std::string failed_check;            ///< what the last attempt did not pass; empty if it passed
  double cost = 0;                     ///< of all attempts, by the price of its policy
  double computed = 0;                 ///< active parameters x tokens that all attempts computed
  std::int64_t engine_ms = 0;          ///< that attempts were with engines, waiting there included
  std::int64_t whole_ms = 0;           ///< from acceptance (a shadow's: from when it was begun) to its end
  friend bool operator==(const ShadowAnswer&, const ShadowAnswer&) = default;
};

/// What became of a turn that was drawn. `failed`: nobody could answer it again; `dropped`: there was no room or no time to.
enum class ShadowFate : std::uint8_t { compared, failed, dropped };
std::string_view to_string(ShadowFate fate);

struct ShadowRecord {
  static constexpr std::size_t question_bytes_max = std::size_t{4} << 10;  ///< what is longer is cut

  std::string experiment;
  TurnId turn;
  std::int64_t at_ms = 0;  ///< when the shadow's end was known; since 1970, by the clock of the turn's home
  std::string question;
  ShadowFate fate = ShadowFate::compared;
  std::string why;      ///< if it was not compared, for a person
  ShadowAnswer client;  ///< what the client got
  ShadowAnswer shadow;  ///< as far as it came, if it failed
  // If compared:
  bool same_text = false;       ///< policy::same_answer
  bool same_citations = false;  ///< the same sections, in whatever order
  bool same_values = false;     ///< the same numbers, codes and names
  bool agree() const { return same_text && same_citations; }
  friend bool operator==(const ShadowRecord&, const ShadowRecord&) = default;
};

struct NumberedShadowRecord {
  std::uint64_t number = 0;  ///< its place in its node's log; ascends with time
  ShadowRecord record;
  friend bool operator==(const NumberedShadowRecord&, const NumberedShadowRecord&) = default;
};

/// Which of a node's records are wanted.
struct ShadowQuery {
  std::uint64_t from = 0;  ///< the least number
  std::uint32_t limit = 0;
  std::string experiment;     ///< only this one; empty: all
  std::int64_t since_ms = 0;  ///< only those whose end was known then or later
  bool texts = false;         ///< with the question and both texts
};

/// An experiment that a node runs now.
struct RunningShadow {
  std::string name;
  double share = 0;
  std::string says;  ///< what it does, for a person
  friend bool operator==(const RunningShadow&, const RunningShadow&) = default;
};

struct ShadowPage {
  /// Records of one page, without and with texts.
  static constexpr std::uint32_t numbers_max = 256;
  static constexpr std::uint32_t texts_max = 64;

  std::vector<NumberedShadowRecord> records;  ///< ascending
  std::uint64_t next = 0;                     ///< where to go on, if there is more
  bool more = false;
  std::vector<RunningShadow> running;
};

}  // namespace troupe::policy

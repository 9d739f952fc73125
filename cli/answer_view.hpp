// Turns as people and programs read them: texts with citations resolved, and JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/client.hpp"
#include "policy/turn.hpp"

namespace troupe::cli {

using Json = nlohmann::ordered_json;

/// One line; bytes that are no UTF-8 are replaced.
std::string dumped(const Json& json);
/// For a terminal: text that others wrote, with "?" for each control character but tabs and line ends, which could clear its
/// screen or do worse.
std::string plain(std::string_view text);
/// The same of what has a line for itself, such as a file's name: "?" for tabs, line ends and bytes that are no UTF-8 as well.
std::string plain_line(std::string_view text);
/// The number whose shortest decimals are the float's: 0.7 is not 0.699999988.
double decimal(float value);

/// The answer with "[2]" written out as "[Records Policy §3.2]". A number whose section is not known stays.
std::string readable(const policy::TurnOutcome& outcome);
/// The same, by the passages of the attempt that it came from.
std::string readable(const policy::Turn& turn);

Json json_of(const policy::Turn& turn);
Json json_of(const policy::Summary& summary);

/// "2024-11-25 12:00:00 UTC"
std::string date_of(std::int64_t milliseconds_since_1970);

/// One answer while it comes in, and when it has ended.
class AnswerView {
 public:
  /// `streams`: shows tokens as they come, on the standard output.
  explicit AnswerView(bool streams) : streams_(streams) {}

  void take(const policy::TurnEvent& event);
  /// Nothing more comes: ends the line of what was shown.
  void break_off();
  /// What was asked for: the answer, or that there is none. `quiet`: nothing about how it came.
  void print(const clients::Answer& answer, bool quiet) const;
  Json json(const clients::Answer& answer) const;

 private:
  struct Try {
    std::int32_t attempt = 0;
    policy::Tier tier = policy::Tier::mini;
    std::string why;
    std::string superseded;
  };

  bool streams_;
  bool shown_ = false;  // something of the running attempt
  std::vector<Try> tries_;
};

}  // namespace troupe::cli

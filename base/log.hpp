// One event a line, for the operator at night: "2026-03-01T02:03:04.567Z info  lease granted conversation=... epoch=3".
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {

enum class LogLevel { debug, info, warning, error };

/// Values are quoted where they hold blanks. Any thread may log; lines stay whole.
class Log {
 public:
  using Field = std::pair<std::string_view, std::string>;
  using Sink = std::function<void(LogLevel, std::string line)>;

  /// Says nothing.
  Log() = default;
  explicit Log(Sink sink) : sink_(std::move(sink)) {}
  /// To the error stream, with the time in front, from `least` on.
  static Log to_stderr(LogLevel least);

  void operator()(LogLevel level, std::string_view what, std::initializer_list<Field> fields = {}) const;

 private:
  Sink sink_;
};

}  // namespace troupe

#include "base/log.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace troupe {

namespace {

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
  }
  return "unknown";
}

void append_value(std::string& line, std::string_view value) {
  const bool plain = !value.empty() && value.find_first_of(" \"\\=\n\r\t") == std::string_view::npos;
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') line += '\\';
    line += c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
  }
  line += '"';
}

std::string time_now() {
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::system_clock::to_time_t(now);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  const auto length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(milliseconds));
  return std::string(text.data(), length) + fraction.data();
}

}  // namespace

Log Log::to_stderr(LogLevel least) {
  return Log([least](LogLevel level, const std::string& line) {
    if (level < least) return;
    const std::string whole = time_now() + ' ' + line + '\n';
    std::fwrite(whole.data(), 1, whole.size(), stderr);
  });
}

void Log::operator()(LogLevel level, std::string_view what, std::initializer_list<Field> fields) const {
  if (!sink_) return;
  std::string line(name_of(level));
  line += ' ';
  line += what;
  for (const auto& [name, value] : fields) {
    line += ' ';
    line += name;
    line += '=';
    append_value(line, value);
  }
  sink_(level, std::move(line));
}

}  // namespace troupe

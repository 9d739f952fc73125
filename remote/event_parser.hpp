// Server-sent events (the "text/event-stream" of the HTML standard), as they come, within bounds: a line or an event that never
// ends costs no more than its limit.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace troupe::remote {

struct ServerEvent {
  std::string name;  ///< "message" if the server gave none
  std::string data;  ///< its lines, joined by line feeds
  friend bool operator==(const ServerEvent&, const ServerEvent&) = default;
};

class EventParser {
 public:
  static constexpr std::size_t line_bytes_max = std::size_t{1} << 20;
  static constexpr std::size_t event_bytes_max = std::size_t{2} << 20;  ///< of its data

  /// Calls `take` for each event that the bytes complete, until it returns an error, which is returned. `too_large` for a line
  /// or an event beyond its limit. After an error nothing more may be fed. However the bytes are cut, the events are the same.
  Result<void> feed(std::string_view bytes, const std::function<Result<void>(const ServerEvent&)>& take);

 private:
  Result<void> end_line(const std::function<Result<void>(const ServerEvent&)>& take);

  std::string line_;
  ServerEvent event_;
  bool has_data_ = false;
  bool first_line_ = true;     ///< which may begin with a byte order mark
  bool after_return_ = false;  ///< a line feed now belongs to the line end before
};

}  // namespace troupe::remote
